/**
 * Sizes of Kafka's primitive types, for encoders that know the size of a message before they write it (writer.ts writes).
 *
 * `flexible` chooses compact encodings (KIP-482). Source: Kafka protocol guide, "Protocol Primitive Types".
 */
/** The size of a 32-bit unsigned varint, 1 to 5 bytes. */
export function unsignedVarintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  return 5;
}

/** The size of an array's count, or of the length in front of bytes; -1 is null. */
export function countBytes(flexible: boolean, count: number): number {
  return flexible ? unsignedVarintBytes(count + 1) : 4;
}

/** The size of a string with its length. */
export function stringBytes(flexible: boolean, text: string | null): number {
  const length = text === null ? 0 : Buffer.byteLength(text);
  if (!flexible) return 2 + length;
  return length + (text === null ? 1 : unsignedVarintBytes(length + 1));
}
