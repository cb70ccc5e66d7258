// The decoder of decoder.py for the processor: reads tokens into a key/value cache and gives the logits after those asked for.
//
// A call reads `rows` tokens; each has a slot of the cache and a position in it. One token of each of many texts, a prompt, or the
// guesses of a speculation are the same to it. Attention is causal by position, so rows of one slot may come in one call.
//
// Every sum is formed in one order that depends on neither the other rows nor the number of threads: a text comes out the same
// bit by bit alone and in company, however its prompt is cut into calls.
//
// The work of a single token is reading the weights once from memory; the work of many is multiplying. `product` serves both:
// tiles of 4 outputs by up to 3 rows, 12 sums of 8 lanes, which fill the 16 registers of AVX2. Weights are used as torch stores
// them (outputs by inputs), so nothing is copied; int8 weights have a scale for every `group` inputs of each output.
//
// Letters in comments: R rows, D width, F feed-forward width, N query heads, K key/value heads, H head width.

#include <omp.h>
#ifdef __FMA__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

typedef float f8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef int8_t b8 __attribute__((vector_size(8), aligned(1), may_alias));

struct Matrix {
  const void* data;
  const float* scale;  // null: data is float
  const float* bias;   // may be null
  int64_t outputs, inputs, group;
};

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

#define UNROLL _Pragma("GCC unroll 8")
// Holds a value in a register: left to itself the compiler loads it anew for each product.
#ifdef __AVX2__
#define KEEP(value) asm("" : "+x"(value))
#else
#define KEEP(value)
#endif

namespace {

inline f8 load(const float* p) { return *reinterpret_cast<const f8*>(p); }
inline void store(float* p, f8 v) { *reinterpret_cast<f8*>(p) = v; }
inline f8 splat(float v) { return f8{v, v, v, v, v, v, v, v}; }

// a * b + c, rounded once or twice, but everywhere alike: left to itself the compiler fuses in one tile and not in another.
inline f8 fused(f8 a, f8 b, f8 c) {
#if defined(__FMA__)
  return (f8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_FEATURE_FMA)
  for (int i = 0; i < 8; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#else
  return a * b + c;
#endif
}

inline float sum(f8 v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }

// e^x to about one unit in the last place: x = n ln 2 + r, and a polynomial for e^r (Cephes' expf).
inline f8 exponential(f8 x) {
  x = x < splat(-87.0f) ? splat(-87.0f) : x;
  x = x > splat(88.0f) ? splat(88.0f) : x;
  const f8 shift = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
  f8 n = x * splat(1.44269504f) + shift - shift;
  f8 r = x - n * splat(0.693359375f) - n * splat(-2.12194440e-4f);
  f8 p = splat(1.9875691500e-4f);
  p = fused(p, r, splat(1.3981999507e-3f));
  p = fused(p, r, splat(8.3334519073e-3f));
  p = fused(p, r, splat(4.1665795894e-2f));
  p = fused(p, r, splat(1.6666665459e-1f));
  p = fused(p, r, splat(5.0000001201e-1f));
  p = fused(p * r, r, r) + splat(1.0f);
  i8 power = (__builtin_convertvector(n, i8) + 127) << 23;
  return p * (f8)power;
}

struct Floats {
  const float* row;
  inline f8 at(int64_t i, f8) const { return load(row + i); }
  inline float one(int64_t i, float) const { return row[i]; }
};

struct Bytes {
  const int8_t* row;
  inline f8 at(int64_t i, f8 scale) const {
#ifdef __AVX2__
    const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + i)));
    return (f8)_mm256_cvtepi32_ps(wide) * scale;
#else
    return __builtin_convertvector(*reinterpret_cast<const b8*>(row + i), f8) * scale;
#endif
  }
  inline float one(int64_t i, float scale) const { return float(row[i]) * scale; }
};

// What lies ahead in memory is asked for while a tile is computed: `step` bytes for every 8 inputs. `far`: only as near as the
// second-level cache, which can wait for more lines at once; better where memory is what is waited for, worse where it is not.
struct Ahead {
  const char* data;
  int64_t step;
  bool far;
};

// O outputs by R rows: out[o][r] = sum over i of weight[o][i] * x[r][i].
template <int O, int R, class Row>
inline void tile(const Row* weight, const float* const* scale, int64_t group, const float* x, int64_t ldx, int64_t inputs,
                 float out[O][R], Ahead ahead = {nullptr, 0, false}) {
  f8 total[O][R];
  UNROLL for (int o = 0; o < O; o++)
    UNROLL for (int r = 0; r < R; r++) total[o][r] = splat(0.0f);
  float rest[O][R] = {};
  for (int64_t start = 0, g = 0; start < inputs; start += group, g++) {
    const int64_t stop = std::min(start + group, inputs), whole = start + (stop - start) / 8 * 8;
    f8 s[O];
    UNROLL for (int o = 0; o < O; o++) s[o] = scale ? splat(scale[o][g]) : splat(1.0f);
    for (int64_t i = start; i < whole; i += 8) {
      for (int64_t byte = 0; byte < ahead.step; byte += 64)
        ahead.far ? __builtin_prefetch(ahead.data + byte, 0, 2) : __builtin_prefetch(ahead.data + byte);
      ahead.data += ahead.step;
      f8 v[R];
      UNROLL for (int r = 0; r < R; r++) {
        v[r] = load(x + r * ldx + i);
        KEEP(v[r]);
      }
      UNROLL for (int o = 0; o < O; o++) {
        f8 w = weight[o].at(i, s[o]);
        KEEP(w);
        UNROLL for (int r = 0; r < R; r++) total[o][r] = fused(w, v[r], total[o][r]);
      }
    }
    for (int64_t i = whole; i < stop; i++)
      for (int o = 0; o < O; o++)
        for (int r = 0; r < R; r++) rest[o][r] += weight[o].one(i, s[o][0]) * x[r * ldx + i];
  }
  UNROLL for (int o = 0; o < O; o++)
    UNROLL for (int r = 0; r < R; r++) out[o][r] = sum(total[o][r]) + rest[o][r];
}

template <int O, int R>
inline void put(const float out[O][R], const Matrix& m, int64_t o, float* y, int64_t ldy, bool add) {
  for (int a = 0; a < O; a++)
    for (int r = 0; r < R; r++) {
      float value = out[a][r] + (m.bias ? m.bias[o + a] : 0.0f);
      float* place = y + r * ldy + a;
      *place = add ? *place + value : value;
    }
}

template <int O, class Row>
inline void rows_of_tile(const Row* weight, const float* const* scale, int64_t group, const Matrix& m, int64_t o, const float* x,
                         int64_t ldx, int64_t rows, float* y, int64_t ldy, bool add, int64_t bytes) {
  // The weights of the next tile follow those of this one; each of the parts that the rows fall into asks for its share.
  const int64_t parts = rows / 3 + (rows % 3 != 0), step = 8 * O * bytes / parts;
  const char* next = static_cast<const char*>(m.data) + (o + O) * m.inputs * bytes;
  auto some = [&](auto count, int64_t r) {
    float out[O][count.value];
    tile<O, count.value>(weight, scale, group, x + r * ldx, ldx, m.inputs, out, Ahead{next, step, bytes == 4 && rows <= 6});
    next += m.inputs / 8 * step;
    put<O, count.value>(out, m, o, y + r * ldy, ldy, add);
  };
  int64_t r = 0;
  for (; rows - r == 3 || rows - r > 4; r += 3) some(std::integral_constant<int, 3>(), r);
  for (; rows - r >= 2; r += 2) some(std::integral_constant<int, 2>(), r);
  if (rows - r == 1) some(std::integral_constant<int, 1>(), r);
}

template <int O>
inline void outputs_of_tile(const Matrix& m, int64_t o, const float* x, int64_t ldx, int64_t rows, float* y, int64_t ldy,
                            bool add, float* unpacked) {
  if (!m.scale) {
    Floats weight[O];
    for (int a = 0; a < O; a++) weight[a] = {static_cast<const float*>(m.data) + (o + a) * m.inputs};
    rows_of_tile<O>(weight, nullptr, m.inputs, m, o, x, ldx, rows, y, ldy, add, 4);
    return;
  }
  const int64_t groups = (m.inputs + m.group - 1) / m.group;
  const float* scale[O];
  Bytes packed[O];
  for (int a = 0; a < O; a++) {
    packed[a] = {static_cast<const int8_t*>(m.data) + (o + a) * m.inputs};
    scale[a] = m.scale + (o + a) * groups;
  }
  if (rows <= 3 || O > 4) {
    rows_of_tile<O>(packed, scale, m.group, m, o, x, ldx, rows, y, ldy, add, 1);
    return;
  }
  Floats weight[O];  // unpacked once for all rows: the same products, so the same sums
  for (int a = 0; a < O; a++) {
    float* line = unpacked + a * m.inputs;
    for (int64_t start = 0, g = 0; start < m.inputs; start += m.group, g++) {
      const int64_t stop = std::min(start + m.group, m.inputs);
      int64_t i = start;
      for (; i + 8 <= stop; i += 8) store(line + i, packed[a].at(i, splat(scale[a][g])));
      for (; i < stop; i++) line[i] = packed[a].one(i, scale[a][g]);
    }
    weight[a] = {line};
  }
  rows_of_tile<O>(weight, nullptr, m.group, m, o, x, ldx, rows, y, ldy, add, 1);
}

// y[r][o - first] (+)= m x[r] for outputs first to last; blocks of rows stay in the second-level cache.
void product(const Matrix& m, int64_t first, int64_t last, const float* x, int64_t ldx, int64_t rows, float* y, int64_t ldy,
             bool add, float* unpacked) {
  const int64_t block = 48;
  for (int64_t r = 0; r < rows; r += block) {
    const int64_t count = std::min(block, rows - r);
    int64_t o = first;
    for (; count == 1 && o + 8 <= last; o += 8)  // a single row has too few sums to fill the pipeline otherwise
      outputs_of_tile<8>(m, o, x + r * ldx, ldx, count, y + r * ldy + (o - first), ldy, add, unpacked);
    for (; o + 4 <= last; o += 4)
      outputs_of_tile<4>(m, o, x + r * ldx, ldx, count, y + r * ldy + (o - first), ldy, add, unpacked);
    for (; o < last; o++)
      outputs_of_tile<1>(m, o, x + r * ldx, ldx, count, y + r * ldy + (o - first), ldy, add, unpacked);
  }
}

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
