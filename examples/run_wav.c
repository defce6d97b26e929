/* Recognise one word in a WAV file through the C interface.
 *
 *     cc -std=c99 run_wav.c $(pkg-config --cflags --libs bifast) -o run_wav
 *     ./run_wav bifsmn.bifast yes.wav            # 16-bit PCM, mono, at the model's rate
 *
 * Prints each label with its logit at full depth, then the best one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bifast.h"

static uint32_t little_endian(const unsigned char* bytes, int n_bytes) {
  uint32_t value = 0;
  int i;
  for (i = 0; i < n_bytes; ++i) value |= (uint32_t)bytes[i] << (8 * i);
  return value;
}

/* Moves the file to the samples of a mono 16-bit WAV of this rate; returns how many there are, or
 * 0. */
static size_t find_samples(FILE* file, size_t rate) {
  unsigned char head[12], chunk[8], format[16];
  if (fread(head, 1, 12, file) != 12 || memcmp(head, "RIFF", 4) || memcmp(head + 8, "WAVE", 4)) {
    return 0;
  }
  memset(format, 0, sizeof format);
  while (fread(chunk, 1, 8, file) == 8) {
    uint32_t n_bytes = little_endian(chunk + 4, 4);
    if (!memcmp(chunk, "data", 4)) {
      int usable = little_endian(format, 2) == 1 && little_endian(format + 2, 2) == 1 &&
                   little_endian(format + 4, 4) == rate && little_endian(format + 14, 2) == 16;
      return usable ? n_bytes / 2 : 0;
    }
    if (n_bytes > 1u << 20) return 0;
    if (!memcmp(chunk, "fmt ", 4) && n_bytes >= 16) {
      if (fread(format, 1, 16, file) != 16) return 0;
      n_bytes -= 16;
    }
    if (fseek(file, (long)(n_bytes + (n_bytes & 1)), SEEK_CUR) != 0) return 0;
  }
  return 0;
}

/* Reads at most max_samples samples; returns how many were read. */
static size_t read_wav(const char* path, size_t rate, int16_t* samples, size_t max_samples) {
  size_t n_samples, i;
  FILE* file = fopen(path, "rb");
  if (file == NULL) return 0;
  n_samples = find_samples(file, rate);
  if (n_samples > max_samples) n_samples = max_samples;
  for (i = 0; i < n_samples; ++i) {
    unsigned char bytes[2];
    if (fread(bytes, 1, 2, file) != 2) break;
    samples[i] = (int16_t)little_endian(bytes, 2);
  }
  fclose(file);
  return i;
}

static int fail(const char* what) {
  fprintf(stderr, "run_wav: %s\n", what);
  return 1;
}

int main(int argc, char** argv) {
  bifast_model* model = NULL;
  bifast_session* session = NULL;
  size_t n_classes, n_samples, best = 0, i;
  int16_t* samples;
  float* logits;

  if (argc != 3) return fail("usage: run_wav MODEL.bifast SOUND.wav");
  if (bifast_load(argv[1], &model) != BIFAST_OK) return fail(bifast_last_error());
  if (bifast_session_new(model, &session) != BIFAST_OK) return fail(bifast_last_error());

  n_classes = bifast_n_classes(model);
  logits = malloc(n_classes * sizeof *logits);
  samples = malloc((bifast_window_samples(model) + 1) * sizeof *samples);
  if (logits == NULL || samples == NULL) return fail("out of memory");

  n_samples = read_wav(argv[2], bifast_sample_rate(model), samples, bifast_window_samples(model));
  if (n_samples == 0) return fail("not a 16-bit mono PCM WAV file at the model's rate");
  if (bifast_run_i16(session, 0, samples, n_samples, logits, n_classes) != BIFAST_OK) {
    return fail(bifast_last_error());
  }

  for (i = 0; i < n_classes; ++i) {
    printf("%s %.9g\n", bifast_label(model, i), (double)logits[i]);
    if (logits[i] > logits[best]) best = i;
  }
  printf("heard: %s\n", bifast_label(model, best));

  free(samples);
  free(logits);
  bifast_session_free(session);
  bifast_free(model);
  return 0;
}
