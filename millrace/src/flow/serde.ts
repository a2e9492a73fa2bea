/**
 * How keys and values of a topic are written: from values to bytes and back. Implemented in `connect/topics/`. What has no bytes
 * (null) is null, whatever the serde: neither function is called for it.
 */

export interface Serde<T> {
  /** `json`, `string`, `msgpack`…: part of the fingerprint of a plan. */
  readonly name: string;
  /**
   * The value of buffer[start, end), which must not be kept: copy what stays.
   * @throws {Error} whose message says what is wrong with the bytes
   */
  decode(buffer: Buffer, start: number, end: number): T | Promise<T>;
  /**
   * The bytes of a value that is neither null nor undefined, or a string to be written as UTF-8. What it returns belongs to the caller
   * until the next call.
   * @throws {Error} whose message says what is wrong with the value
   */
  encode(value: T): Uint8Array | string;
}
