/** What a client measured: records in a time. All clients report the same. */
export interface Rate {
  readonly records: number;
  readonly seconds: number;
}
