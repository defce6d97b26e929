/* clang-format off */
/* bifast: inference for binary neural networks (1-bit weights, 1-bit activations).
 *
 *     bifast_model* model = NULL;
 *     bifast_session* session = NULL;
 *     float logits[10];                                 // as many as the model has labels
 *     if (bifast_load("kws.bifast", &model) != BIFAST_OK ||
 *         bifast_session_new(model, &session) != BIFAST_OK ||
 *         bifast_run(session, 0, samples, n_samples, logits, 10) != BIFAST_OK) {
 *       fprintf(stderr, "%s\n", bifast_last_error());
 *       return 1;
 *     }
 *     bifast_session_free(session);
 *     bifast_free(model);
 *
 * A model is immutable and may be shared by threads. A session is the scratch memory of one thread
 * at a time, and must be freed before its model; running allocates nothing and takes no lock.
 * Handles that an output parameter returns belong to the caller. A function that fails leaves its
 * outputs unspecified and says why in bifast_last_error(). Functions that return no status take no null
 * pointers, but for the two that free.
 */
/* clang-format on */
#ifndef BIFAST_H_
#define BIFAST_H_

#include <stddef.h>
#include <stdint.h>

#if defined(BIFAST_SHARED) && defined(__GNUC__)
#define BIFAST_API __attribute__((visibility("default")))
#else
#define BIFAST_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bifast_status {
  BIFAST_OK = 0,
  BIFAST_INVALID_ARGUMENT = 1, /* a wrong length, value, name or null pointer */
  BIFAST_BAD_FORMAT = 2,       /* the bytes are not a valid .bifast model */
  BIFAST_UNSUPPORTED = 3,      /* a newer file, or an instruction set this CPU lacks */
  BIFAST_IO = 4,               /* the file cannot be read */
  BIFAST_NO_MEMORY = 5,
  BIFAST_INTERNAL = 6
} bifast_status;

/* Text of the last error in this thread; valid until the next failing call of this thread. */
BIFAST_API const char* bifast_last_error(void);
BIFAST_API const char* bifast_version(void);

/* ---- instruction sets ---- */

/* Instruction sets compiled in that this CPU can run, best first; NULL past the last one. */
BIFAST_API const char* bifast_isa(size_t index);
/* The one that models are loaded for: the best, or the environment variable BIFAST_ISA.
 * INVALID_ARGUMENT if BIFAST_ISA is unknown, UNSUPPORTED if this CPU cannot run it. */
BIFAST_API bifast_status bifast_default_isa(const char** name);
/* Names of the kernels; NULL past the last one. */
BIFAST_API const char* bifast_kernel_name(size_t index);
/* Compare one kernel of an instruction set with the scalar one on random data; INTERNAL if they
 * differ. */
BIFAST_API bifast_status bifast_check_kernel(const char* isa, size_t index);

/* ---- models ---- */

typedef struct bifast_model bifast_model;

BIFAST_API bifast_status bifast_load(const char* path, bifast_model** model);
/* isa: a name that bifast_isa() returns, or NULL for the default. The bytes are not kept. */
BIFAST_API bifast_status bifast_load_memory(const void* bytes, size_t n_bytes, const char* isa,
                                            bifast_model** model);
BIFAST_API void bifast_free(bifast_model* model);

BIFAST_API size_t bifast_n_classes(const bifast_model* model);
BIFAST_API size_t bifast_n_depths(const bifast_model* model);
BIFAST_API size_t bifast_sample_rate(const bifast_model* model);    /* Hz; 0: not fed with audio */
BIFAST_API size_t bifast_window_samples(const bifast_model* model); /* longest clip; 0: as above */
BIFAST_API size_t bifast_hop_samples(const bifast_model* model);    /* samples between frames */
/* Shape of the features of one clip: frames (time) by bands by channels; of an image for a net on
 * images: height by width by channels. */
BIFAST_API void bifast_input_shape(const bifast_model* model, size_t shape[3]);
/* 1: the input is bytes, 0 .. 255; 0: floats. */
BIFAST_API int bifast_takes_bytes(const bifast_model* model);
BIFAST_API size_t bifast_scratch_bytes(const bifast_model* model); /* of one session */
BIFAST_API const char* bifast_model_isa(const bifast_model* model);
BIFAST_API const char* bifast_label(const bifast_model* model,
                                    size_t index); /* NULL past the last */
BIFAST_API const char* bifast_depth_name(const bifast_model* model,
                                         size_t index); /* NULL past the last */
BIFAST_API bifast_status bifast_find_depth(const bifast_model* model, const char* name,
                                           size_t* index);

/* When a word counts as heard: the mean of its probability over the windows of `smoothing` seconds
 * reaches `threshold`, and it was not heard in the last `refractory` seconds. */
typedef struct bifast_word {
  double threshold; /* 0: no word, or the file tells nothing of it */
  double smoothing, refractory;
} bifast_word;

/* What the file says of a label; zeros past the last. */
BIFAST_API bifast_word bifast_word_of(const bifast_model* model, size_t label);

/* Whether the file has a cascade of depths, for BIFAST_AUTO. */
BIFAST_API int bifast_has_cascade(const bifast_model* model);

/* Work of a window at a depth, and the part of it that all depths share, in multiply-adds of +-1;
 * one of floats counts as sixteen. It compares depths, the same on every machine, and measures no
 * time. */
BIFAST_API uint64_t bifast_work(const bifast_model* model, size_t depth); /* 0: no such depth */
BIFAST_API uint64_t bifast_shared_work(const bifast_model* model);

/* The model's card, UTF-8 JSON, NUL-terminated. */
BIFAST_API const char* bifast_card(const bifast_model* model);

/* ---- running ---- */

typedef struct bifast_session bifast_session;

BIFAST_API bifast_status bifast_session_new(const bifast_model* model, bifast_session** session);
BIFAST_API void bifast_session_free(bifast_session* session);

/* One clip of 1 .. window_samples samples, mono, at the model's rate; shorter ones are padded with
 * zeros at the end. Floats in [-1, 1]. Depth 0 is the deepest. Non-finite samples are
 * INVALID_ARGUMENT. */
BIFAST_API bifast_status bifast_run(bifast_session* session, size_t depth, const float* samples,
                                    size_t n_samples, float* logits, size_t n_classes);
BIFAST_API bifast_status bifast_run_i16(bifast_session* session, size_t depth,
                                        const int16_t* samples, size_t n_samples, float* logits,
                                        size_t n_classes);
/* Features [frames][bands][channels] of one clip to logits, or an image [height][width][channels]:
 * whole numbers 0 .. 255 where the model takes bytes. */
BIFAST_API bifast_status bifast_run_features(bifast_session* session, size_t depth,
                                             const float* features, size_t n_features,
                                             float* logits, size_t n_classes);
/* An image [height][width][channels] to logits, for a model that takes bytes. */
BIFAST_API bifast_status bifast_run_bytes(bifast_session* session, size_t depth,
                                          const uint8_t* image, size_t n_bytes, float* logits,
                                          size_t n_classes);
/* Frames that bifast_features writes for audio of n_samples (at least one clip's). */
BIFAST_API size_t bifast_n_frames(const bifast_model* model, size_t n_samples);
/* Log-mel frames of audio of any length, padded with zeros up to one clip: n_frames by bands. */
BIFAST_API bifast_status bifast_features(bifast_session* session, const float* samples,
                                         size_t n_samples, float* features, size_t n_features);
BIFAST_API bifast_status bifast_features_i16(bifast_session* session, const int16_t* samples,
                                             size_t n_samples, float* features, size_t n_features);

typedef struct bifast_layer_output {
  const char* name; /* of the layer */
  int is_bits;      /* 1: data is rows of packed bits */
  int is_bytes;     /* 1: data is uint8_t[]; both 0: float[] */
  size_t shape[3];  /* height (time), width, channels */
  size_t row_bytes; /* bytes from one position's channels to the next */
  const void* data;
} bifast_layer_output;

/* As bifast_run_features, calling observe after each layer with each of its outputs; bits in two
 * planes are two outputs, the first plane first. */
BIFAST_API bifast_status bifast_trace(
    bifast_session* session, size_t depth, const float* features, size_t n_features, float* logits,
    size_t n_classes, void (*observe)(void* user, const bifast_layer_output* output), void* user);

/* ---- streams: audio without an end ----
 *
 *     bifast_stream_new(model, 0, 8, &stream);           // a window every 8 frames
 *     while (read_microphone(chunk))                     // chunks of any size
 *       bifast_stream_push_i16(stream, session, chunk, n_samples, on_score, user);
 *     bifast_stream_flush(stream, session, on_score, user);
 *
 * All frames share one framing of the audio, and only new ones are computed. However the audio is
 * cut, the scores are the same bits. Nothing is allocated after bifast_stream_new. A stream belongs
 * to one thread at a time and lends the scratch memory of a session of its model, which other
 * streams may use in between. It must be freed before its model. */

typedef struct bifast_stream bifast_stream;

/* The scores of the window that begins at sample `start` of the stream. It must not call the
 * stream that calls it, but may ask for bifast_stream_score_depth. In C++ it must not throw: an
 * exception cannot pass through the stream, which would be left between two windows, and ends the
 * process (std::terminate). */
typedef void (*bifast_on_score)(void* user, int64_t start, const float* logits, size_t n_classes);

/* The cascade in the model's file: depths from the shallowest on, until one is sure. */
#define BIFAST_AUTO ((size_t)-1)

/* hop_frames: frames from one window to the next, 1 or more. depth: an index, or BIFAST_AUTO, which
 * is INVALID_ARGUMENT for a model without a cascade. */
BIFAST_API bifast_status bifast_stream_new(const bifast_model* model, size_t depth,
                                           size_t hop_frames, bifast_stream** stream);
BIFAST_API void bifast_stream_free(bifast_stream* stream);
/* Any number of samples, also 0. INVALID_ARGUMENT for samples that are not finite or far from
 * [-1, 1], and after a flush; the stream is then as it was before the call. */
BIFAST_API bifast_status bifast_stream_push(bifast_stream* stream, bifast_session* session,
                                            const float* samples, size_t n_samples,
                                            bifast_on_score on_score, void* user);
BIFAST_API bifast_status bifast_stream_push_i16(bifast_stream* stream, bifast_session* session,
                                                const int16_t* samples, size_t n_samples,
                                                bifast_on_score on_score, void* user);
/* What a push of these samples would say, taking none of them: for audio that is pushed in pieces,
 * the first of which a push would take before it meets a bad sample in a later one. */
BIFAST_API bifast_status bifast_stream_check(const bifast_stream* stream, const float* samples,
                                             size_t n_samples);
BIFAST_API bifast_status bifast_stream_check_i16(const bifast_stream* stream,
                                                 const int16_t* samples, size_t n_samples);
/* The audio ends: its last frames are reflected, and a last window ends with the last frame. Audio
 * shorter than a window is padded with zeros and gives one, equal to bifast_run. */
BIFAST_API bifast_status bifast_stream_flush(bifast_stream* stream, bifast_session* session,
                                             bifast_on_score on_score, void* user);
/* Begin anew with a sample that counts as number `origin`, 0 .. 2^60; the stream forgets all
 * audio. */
BIFAST_API bifast_status bifast_stream_reset(bifast_stream* stream, int64_t origin);

/* Number of the next sample: origin + samples pushed since. */
BIFAST_API int64_t bifast_stream_position(const bifast_stream* stream);
/* The most scores that a push of n_samples, or a flush, gives now: fewer only by a gate. */
BIFAST_API size_t bifast_stream_n_scores(const bifast_stream* stream, size_t n_samples);
BIFAST_API size_t bifast_stream_n_flush_scores(const bifast_stream* stream);
/* Skip the net, never the frames, of windows in which no sample's magnitude is above `peak`;
 * negative (the default): skip none. A window that is scored has the same scores as without it. */
BIFAST_API bifast_status bifast_stream_set_gate(bifast_stream* stream, float peak);
BIFAST_API int64_t bifast_stream_n_skipped(const bifast_stream* stream); /* windows, so far */

/* Which labels count as words in the cascade, one flag each; until then those of the file. Set it
 * to the words that you listen for: others need no second look. */
BIFAST_API bifast_status bifast_stream_set_words(bifast_stream* stream, const uint8_t* is_word,
                                                 size_t n_classes);
/* Windows whose scores are those of a depth, so far; and the depth of the newest score. */
BIFAST_API int64_t bifast_stream_n_scored(const bifast_stream* stream, size_t depth);
BIFAST_API size_t bifast_stream_score_depth(const bifast_stream* stream);
/* Mean work (bifast_work) of the windows scored so far, as part of what each would take at depth 0;
 * 0 before there is one. Rows that a window shares with the one before it are work of neither; a
 * window of a cascade takes what the depths before the one that scored it took, too. */
BIFAST_API double bifast_stream_cost(const bifast_stream* stream);

/* The state of a stream as bytes, the same on every instruction set; it can be restored into a
 * stream of the same model, depth, words, hop and gate. The size changes as the stream goes on. */
BIFAST_API size_t bifast_stream_snapshot_bytes(const bifast_stream* stream);
BIFAST_API bifast_status bifast_stream_snapshot(const bifast_stream* stream, void* bytes,
                                                size_t n_bytes);
BIFAST_API bifast_status bifast_stream_restore(bifast_stream* stream, const void* bytes,
                                               size_t n_bytes);

/* ---- the front-end alone (training uses it) ---- */

typedef struct bifast_frontend_params {
  uint32_t sample_rate, window_samples, n_fft, win_length, hop, n_mels, center;
  double f_min, f_max, power_divisor, floor;
} bifast_frontend_params;

typedef struct bifast_frontend bifast_frontend;

/* Not for two threads at once: it owns its scratch memory. */
BIFAST_API bifast_status bifast_frontend_new(const bifast_frontend_params* params, const char* isa,
                                             bifast_frontend** frontend);
BIFAST_API void bifast_frontend_free(bifast_frontend* frontend);
BIFAST_API size_t bifast_frontend_n_frames(const bifast_frontend* frontend, size_t n_samples);
BIFAST_API bifast_status bifast_frontend_run(bifast_frontend* frontend, const float* samples,
                                             size_t n_samples, float* features, size_t n_features);
BIFAST_API bifast_status bifast_frontend_run_i16(bifast_frontend* frontend, const int16_t* samples,
                                                 size_t n_samples, float* features,
                                                 size_t n_features);

#ifdef __cplusplus
}
#endif

#endif /* BIFAST_H_ */
