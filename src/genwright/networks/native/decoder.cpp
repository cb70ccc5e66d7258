// The decoder of decoder.py for the processor: reads tokens into a key/value cache and gives the logits after those asked for.
//
// A call reads `rows` tokens; each has a slot of the cache and a position in it. One token of each of many texts, a prompt, or the
// guesses of a speculation are the same to it. Attention is causal by position, so rows of one slot may come in one call.
//
// Every sum is formed in one order that depends on neither the other rows nor the number of threads: a text comes out the same
// bit by bit alone and in company, however its prompt is cut into calls.
//
// Letters in comments: R rows, D width, F feed-forward width, N query heads, K key/value heads, H head width.

#include <omp.h>

#include <cmath>

#include "kernels.hpp"

struct Layer {
  const float *input_norm, *post_norm, *q_norm, *k_norm;  // the latter two may be null
  Matrix qkv, o, gate_up, down;
};

struct Model {
  int64_t layers, width, feed, heads, kv_heads, head_dim, window;
  double epsilon;
  const float *embedding, *norm, *cosine, *sine;
  Matrix output;
  const Layer* layer;
};

struct Work {
  int64_t rows, wanted, threads, reach;
  const int64_t *token, *slot, *position, *want;
  float *keys, *values;
  int64_t layer_stride, slot_stride, head_stride;
  float *scratch, *logits;
};

namespace {

float squares(const float* x, int64_t size) {
  f8 total = splat(0.0f);
  float rest = 0.0f;
  int64_t i = 0;
  for (; i + 8 <= size; i += 8) total = fused(load(x + i), load(x + i), total);
  for (; i < size; i++) rest += x[i] * x[i];
  return sum(total) + rest;
}

void normalise(const float* x, const float* weight, int64_t size, float epsilon, float* y) {
  const float factor = 1.0f / std::sqrt(squares(x, size) / size + epsilon);
  for (int64_t i = 0; i < size; i++) y[i] = x[i] * factor * weight[i];
}

// Rotary position of one head, halves convention, behind the norm of queries and keys where there is one.
void turn(float* head, const float* norm, int64_t size, float epsilon, const float* cosine, const float* sine) {
  if (norm) normalise(head, norm, size, epsilon, head);
  const int64_t half = size / 2;
  for (int64_t i = 0; i < half; i++) {
    const float a = head[i], b = head[i + half];
    head[i] = a * cosine[i] - b * sine[i];
    head[i + half] = b * cosine[i] + a * sine[i];
  }
}

// One query head over the keys and values from `start` to `stop`; `score` has room for all of them and 7 more.
void attend(const float* query, const float* keys, const float* values, int64_t start, int64_t stop, int64_t size, float* score,
            float* out) {
  const int64_t count = stop - start;
  const float scale = 1.0f / std::sqrt(static_cast<float>(size));
  Floats key[4];
  float four[4][1], highest = -INFINITY;
  int64_t s = 0;
  for (; s + 4 <= count; s += 4) {
    for (int a = 0; a < 4; a++) key[a] = {keys + (start + s + a) * size};
    tile<4, 1>(key, nullptr, size, query, 0, size, four);
    for (int a = 0; a < 4; a++) score[s + a] = four[a][0] * scale;
  }
  for (; s < count; s++) {
    key[0] = {keys + (start + s) * size};
    tile<1, 1>(key, nullptr, size, query, 0, size, four);
    score[s] = four[0][0] * scale;
  }
  for (s = 0; s < count; s++) highest = std::max(highest, score[s]);
  for (; s % 8; s++) score[s] = -INFINITY;
  f8 total = splat(0.0f);
  for (int64_t i = 0; i < s; i += 8) {
    const f8 shifted = load(score + i) - splat(highest);
    f8 weight = exponential(shifted);
    weight = shifted < splat(-87.0f) ? splat(0.0f) : weight;
    store(score + i, weight);
    total += weight;
  }
  const float share = 1.0f / sum(total);
  int64_t h = 0;
  for (; h + 64 <= size; h += 64) {  // 8 sums of 8 lanes
    f8 part[8];
    UNROLL for (int a = 0; a < 8; a++) part[a] = splat(0.0f);
    for (int64_t i = 0; i < count; i++) {
      const f8 weight = splat(score[i]);
      const float* value = values + (start + i) * size + h;
      UNROLL for (int a = 0; a < 8; a++) part[a] = fused(weight, load(value + 8 * a), part[a]);
    }
    UNROLL for (int a = 0; a < 8; a++) store(out + h + 8 * a, part[a] * splat(share));
  }
  for (; h + 8 <= size; h += 8) {
    f8 part = splat(0.0f);
    for (int64_t i = 0; i < count; i++) part = fused(splat(score[i]), load(values + (start + i) * size + h), part);
    store(out + h, part * splat(share));
  }
  for (; h < size; h++) {
    float part = 0.0f;
    for (int64_t i = 0; i < count; i++) part += score[i] * values[(start + i) * size + h];
    out[h] = part * share;
  }
}

// gate, up -> silu(gate) * up, in the place of gate.
void activate(float* gate, const float* up, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const f8 g = load(gate + i);
    store(gate + i, g / (splat(1.0f) + exponential(-g)) * load(up + i));
  }
  if (i < count) {
    float g[8] = {}, u[8] = {};
    std::copy(gate + i, gate + count, g);
    std::copy(up + i, up + count, u);
    const f8 wide = load(g);
    store(g, wide / (splat(1.0f) + exponential(-wide)) * load(u));
    std::copy(g, g + (count - i), gate + i);
  }
}

struct Span {
  int64_t first, last;
};

// The share of a thread, in whole tiles of 4.
Span share(int64_t count, int64_t thread, int64_t threads) {
  const int64_t tiles = (count + 3) / 4;
  return {std::min(tiles * thread / threads * 4, count), std::min(tiles * (thread + 1) / threads * 4, count)};
}

struct Sizes {
  int64_t qkv, normed, mixed, unpacked, score, own;
  Sizes(const Model& m, const Work& w) {
    qkv = (m.heads + 2 * m.kv_heads) * m.head_dim;
    mixed = m.heads * m.head_dim;
    normed = w.rows * m.width;
    unpacked = 4 * std::max({m.width, m.feed, mixed});
    score = (w.reach + 8) / 8 * 8 + 8;
    own = normed + unpacked + score + 16;
  }
  int64_t shared(const Model& m, const Work& w) const { return w.rows * (m.width + qkv + mixed + 2 * m.feed); }
};

void norm_rows(const Model& m, const Work& w, const float* x, const float* weight, float* y) {
  for (int64_t r = 0; r < w.rows; r++) normalise(x + r * m.width, weight, m.width, m.epsilon, y + r * m.width);
}

void attention(const Model& m, const Work& w, const Layer& layer, int64_t index, float* qkv, float* mixed, float* score,
               int64_t thread, int64_t threads, int64_t ldq) {
  const int64_t all = m.heads + 2 * m.kv_heads, size = m.head_dim, half = size / 2;
  auto place = [&](float* buffer, int64_t row, int64_t head) {
    return buffer + index * w.layer_stride + w.slot[row] * w.slot_stride + head * w.head_stride;
  };
  for (int64_t item = thread; item < w.rows * all; item += threads) {
    const int64_t row = item / all, head = item % all, at = w.position[row];
    float* data = qkv + row * ldq + head * size;
    if (head < m.heads + m.kv_heads)
      turn(data, head < m.heads ? layer.q_norm : layer.k_norm, size, m.epsilon, m.cosine + at * half, m.sine + at * half);
    if (head >= m.heads) {
      const bool key = head < m.heads + m.kv_heads;
      float* target = key ? place(w.keys, row, head - m.heads) : place(w.values, row, head - m.heads - m.kv_heads);
      std::memcpy(target + at * size, data, size * sizeof(float));
    }
  }
#pragma omp barrier
  for (int64_t item = thread; item < w.rows * m.heads; item += threads) {
    const int64_t row = item / m.heads, head = item % m.heads, stop = w.position[row] + 1;
    const int64_t start = m.window > 0 ? std::max<int64_t>(0, stop - m.window) : 0, shared = head / (m.heads / m.kv_heads);
    attend(qkv + row * ldq + head * size, place(w.keys, row, shared), place(w.values, row, shared), start, stop, size, score,
           mixed + row * m.heads * size + head * size);
  }
}

}  // namespace

extern "C" int64_t genwright_scratch(const Model* model, const Work* work) {
  const Sizes sizes(*model, *work);
  return sizes.shared(*model, *work) + work->threads * sizes.own;
}

extern "C" void genwright_read(const Model* model, const Work* work) {
  const Model& m = *model;
  const Work& w = *work;
  const Sizes sizes(m, w);
  float* x = w.scratch;
  float* qkv = x + w.rows * m.width;
  float* mixed = qkv + w.rows * sizes.qkv;
  float* gate = mixed + w.rows * sizes.mixed;
  float* up = gate + w.rows * m.feed;
  float* own = w.scratch + sizes.shared(m, w);
  for (int64_t r = 0; r < w.rows; r++)
    std::memcpy(x + r * m.width, m.embedding + w.token[r] * m.width, m.width * sizeof(float));
#pragma omp parallel num_threads(w.threads)
  {
    const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    float* normed = own + thread * sizes.own;
    float* unpacked = normed + sizes.normed;
    float* score = unpacked + sizes.unpacked;
    for (int64_t index = 0; index < m.layers; index++) {
      const Layer& layer = m.layer[index];
      norm_rows(m, w, x, layer.input_norm, normed);
      Span part = share(sizes.qkv, thread, threads);
      product(layer.qkv, part.first, part.last, normed, m.width, w.rows, qkv + part.first, sizes.qkv, false, unpacked);
#pragma omp barrier
      attention(m, w, layer, index, qkv, mixed, score, thread, threads, sizes.qkv);
#pragma omp barrier
      part = share(m.width, thread, threads);
      product(layer.o, part.first, part.last, mixed, sizes.mixed, w.rows, x + part.first, m.width, true, unpacked);
#pragma omp barrier
      norm_rows(m, w, x, layer.post_norm, normed);
      part = share(m.feed, thread, threads);
      product(layer.gate_up, part.first, part.last, normed, m.width, w.rows, gate + part.first, m.feed, false, unpacked);
      product(layer.gate_up, m.feed + part.first, m.feed + part.last, normed, m.width, w.rows, up + part.first, m.feed, false,
              unpacked);
      for (int64_t r = 0; r < w.rows; r++)
        activate(gate + r * m.feed + part.first, up + r * m.feed + part.first, part.last - part.first);
#pragma omp barrier
      part = share(m.width, thread, threads);
      product(layer.down, part.first, part.last, gate, m.feed, w.rows, x + part.first, m.width, true, unpacked);
#pragma omp barrier
    }
    for (int64_t i = 0; i < w.wanted; i++)
      normalise(x + w.want[i] * m.width, m.norm, m.width, m.epsilon, normed + i * m.width);
    const Span part = share(m.output.outputs, thread, threads);
    product(m.output, part.first, part.last, normed, m.width, w.wanted, w.logits + part.first, m.output.outputs, false,
            unpacked);
  }
}
