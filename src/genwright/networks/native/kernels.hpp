// Vectors of eight and matrix products for decoder.cpp. Every sum is formed in one order, whatever is computed beside it.
//
// `product` serves one row, whose work is reading the weights from memory, and many, whose work is multiplying: tiles of 4 outputs
// by up to 3 rows, 12 sums of 8 lanes, which fill the 16 registers of AVX2. Weights are used as torch stores them (outputs by
// inputs), so nothing is copied; int8 weights have a scale for every `group` inputs of each output.

#pragma once

#ifdef __FMA__
#include <immintrin.h>
#endif

#include <algorithm>
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
      const f8 s = splat(scale[a][g]);
      for (; i + 32 <= stop; i += 32) {
        UNROLL for (int k = 0; k < 4; k++) store(line + i + 8 * k, packed[a].at(i + 8 * k, s));
      }
      for (; i + 8 <= stop; i += 8) store(line + i, packed[a].at(i, s));
      for (; i < stop; i++) line[i] = packed[a].one(i, scale[a][g]);
    }
    weight[a] = {line};
  }
  // In one run where that adds up in the same order: a loop of a few steps ends, and is mispredicted, at each group.
  rows_of_tile<O>(weight, nullptr, m.group % 8 ? m.group : m.inputs, m, o, x, ldx, rows, y, ldy, add, 1);
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

}  // namespace
