/* Hear words in raw PCM on standard input, as it comes, through the C interface.
 *
 *     cc -std=c99 stream_pcm.c $(pkg-config --cflags --libs bifast) -o stream_pcm
 *     arecord -q -r 16000 -f S16_LE -t raw | ./stream_pcm bifsmn.bifast
 *
 * Scores a window every 8 frames at full depth, in chunks of 10 ms; prints start in seconds, best
 * label and its logit of each window.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bifast.h"

enum { kHopFrames = 8, kMaxChunk = 4800 };

static void on_score(void* user, int64_t start, const float* logits, size_t n_classes) {
  const bifast_model* model = user;
  size_t best = 0, i;
  for (i = 1; i < n_classes; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  printf("%.3f %s %.9g\n", (double)start / (double)bifast_sample_rate(model),
         bifast_label(model, best), (double)logits[best]);
}

static int fail(const char* what) {
  fprintf(stderr, "stream_pcm: %s\n", what);
  return 1;
}

int main(int argc, char** argv) {
  bifast_model* model = NULL;
  bifast_session* session = NULL;
  bifast_stream* stream = NULL;
  int16_t chunk[kMaxChunk];
  size_t chunk_samples, n_samples;

  if (argc != 2) return fail("usage: stream_pcm MODEL.bifast < RAW.pcm");
  if (bifast_load(argv[1], &model) != BIFAST_OK) return fail(bifast_last_error());
  if (bifast_session_new(model, &session) != BIFAST_OK) return fail(bifast_last_error());
  if (bifast_stream_new(model, 0, kHopFrames, &stream) != BIFAST_OK) {
    return fail(bifast_last_error());
  }
  chunk_samples = bifast_sample_rate(model) / 100;
  if (chunk_samples < 1 || chunk_samples > kMaxChunk) return fail("unusual sample rate");

  while ((n_samples = fread(chunk, sizeof *chunk, chunk_samples, stdin)) > 0) {
    if (bifast_stream_push_i16(stream, session, chunk, n_samples, on_score, model) != BIFAST_OK) {
      return fail(bifast_last_error());
    }
    fflush(stdout);
  }
  if (bifast_stream_flush(stream, session, on_score, model) != BIFAST_OK) {
    return fail(bifast_last_error());
  }
  bifast_stream_free(stream);
  bifast_session_free(session);
  bifast_free(model);
  return 0;
}
