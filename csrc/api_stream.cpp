// The C interface: streams.
#include "api.h"
#include "bifast.h"
#include "error.h"
#include "stream.h"

namespace {

using bifast::expect_count;
using bifast::expect_depth;
using bifast::expect_pointer;
using bifast::guarded;

void expect_stream(const bifast_stream* stream, const bifast_session* session,
                   bifast_on_score on_score) {
  expect_pointer(stream, "stream");
  expect_pointer(session, "session");
  if (on_score == nullptr) bifast::fail_argument("on_score: null pointer");
  if (&session->model != &stream->stream.model()) {
    bifast::fail_argument("session: expected one of the stream's model");
  }
}

template <typename Sample>
bifast_status push(bifast_stream* stream, bifast_session* session, const Sample* samples,
                   size_t n_samples, bifast_on_score on_score, void* user) {
  return guarded([&] {
    expect_stream(stream, session, on_score);
    if (n_samples > 0) expect_pointer(samples, "samples");
    stream->stream.push(session->arena.get(), samples, n_samples, {on_score, user});
  });
}

template <typename Sample>
bifast_status check(const bifast_stream* stream, const Sample* samples, size_t n_samples) {
  return guarded([&] {
    expect_pointer(stream, "stream");
    if (n_samples > 0) expect_pointer(samples, "samples");
    stream->stream.check(samples, n_samples);
  });
}

}  // namespace

bifast_status bifast_stream_new(const bifast_model* model, size_t depth, size_t hop_frames,
                                bifast_stream** stream) {
  return guarded([&] {
    expect_pointer(model, "model");
    expect_pointer(stream, "stream");
    if (depth != BIFAST_AUTO) expect_depth(model->model, depth);
    *stream = new bifast_stream{bifast::Stream(model->model, depth, hop_frames)};
  });
}

void bifast_stream_free(bifast_stream* stream) { delete stream; }

bifast_status bifast_stream_push(bifast_stream* stream, bifast_session* session,
                                 const float* samples, size_t n_samples, bifast_on_score on_score,
                                 void* user) {
  return push(stream, session, samples, n_samples, on_score, user);
}

bifast_status bifast_stream_push_i16(bifast_stream* stream, bifast_session* session,
                                     const int16_t* samples, size_t n_samples,
                                     bifast_on_score on_score, void* user) {
  return push(stream, session, samples, n_samples, on_score, user);
}

bifast_status bifast_stream_check(const bifast_stream* stream, const float* samples,
                                  size_t n_samples) {
  return check(stream, samples, n_samples);
}

bifast_status bifast_stream_check_i16(const bifast_stream* stream, const int16_t* samples,
                                      size_t n_samples) {
  return check(stream, samples, n_samples);
}

bifast_status bifast_stream_flush(bifast_stream* stream, bifast_session* session,
                                  bifast_on_score on_score, void* user) {
  return guarded([&] {
    expect_stream(stream, session, on_score);
    stream->stream.flush(session->arena.get(), {on_score, user});
  });
}

bifast_status bifast_stream_reset(bifast_stream* stream, int64_t origin) {
  return guarded([&] {
    expect_pointer(stream, "stream");
    stream->stream.reset(origin);
  });
}

int64_t bifast_stream_position(const bifast_stream* stream) { return stream->stream.position(); }
size_t bifast_stream_n_scores(const bifast_stream* stream, size_t n_samples) {
  return stream->stream.n_scores(n_samples);
}
size_t bifast_stream_n_flush_scores(const bifast_stream* stream) {
  return stream->stream.n_flush_scores();
}

bifast_status bifast_stream_set_gate(bifast_stream* stream, float peak) {
  return guarded([&] {
    expect_pointer(stream, "stream");
    if (peak - peak != 0.0f) bifast::fail_argument("gate: expected a finite number");
    stream->stream.set_gate(peak);
  });
}

bifast_status bifast_stream_set_words(bifast_stream* stream, const uint8_t* is_word,
                                      size_t n_classes) {
  return guarded([&] {
    expect_pointer(stream, "stream");
    expect_pointer(is_word, "is_word");
    expect_count("n_classes", stream->stream.model().labels().size(), n_classes);
    stream->stream.set_words({is_word, is_word + n_classes});
  });
}

int64_t bifast_stream_n_scored(const bifast_stream* stream, size_t depth) {
  return depth < stream->stream.model().depths().size() ? stream->stream.scored(depth) : 0;
}
size_t bifast_stream_score_depth(const bifast_stream* stream) {
  return stream->stream.score_depth();
}

double bifast_stream_cost(const bifast_stream* stream) { return stream->stream.cost(); }

int64_t bifast_stream_n_skipped(const bifast_stream* stream) { return stream->stream.skipped(); }

size_t bifast_stream_snapshot_bytes(const bifast_stream* stream) {
  return stream->stream.snapshot_bytes();
}

bifast_status bifast_stream_snapshot(const bifast_stream* stream, void* bytes, size_t n_bytes) {
  return guarded([&] {
    expect_pointer(stream, "stream");
    expect_pointer(bytes, "bytes");
    expect_count("n_bytes", stream->stream.snapshot_bytes(), n_bytes);
    stream->stream.snapshot(static_cast<uint8_t*>(bytes));
  });
}

bifast_status bifast_stream_restore(bifast_stream* stream, const void* bytes, size_t n_bytes) {
  return guarded([&] {
    expect_pointer(stream, "stream");
    expect_pointer(bytes, "bytes");
    stream->stream.restore(static_cast<const uint8_t*>(bytes), n_bytes);
  });
}
