/**
 * Which partition a key belongs to: the same as for Kafka's Java client, and so for every client that goes by it.
 * Source: org.apache.kafka.common.utils.Utils.murmur2; MurmurHash2 by Austin Appleby, 32 bits, seed 0x9747b28c.
 */

/** NOTE: the seed and the constants decide where records are: do not change. */
const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

/** The hash of bytes[start, end) as a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  let hash = SEED ^ (end - start);
  let at = start;
  for (; end - at >= 4; at += 4) {
    let k =
      byte(bytes, at) |
      (byte(bytes, at + 1) << 8) |
      (byte(bytes, at + 2) << 16) |
      (byte(bytes, at + 3) << 24);
    k = Math.imul(k, M);
    k ^= k >>> R;
    hash = Math.imul(hash, M) ^ Math.imul(k, M);
  }
  const rest = end - at;
  if (rest >= 3) hash ^= byte(bytes, at + 2) << 16;
  if (rest >= 2) hash ^= byte(bytes, at + 1) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ byte(bytes, at), M);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** The partition of the key bytes[start, end). @param partitions how many there are, at least 1 */
export function partitionOf(
  key: Uint8Array,
  partitions: number,
  start = 0,
  end: number = key.length,
): number {
  return (murmur2(key, start, end) & 0x7fffffff) % partitions;
}

function byte(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
