/** A failure the user can act on: printed as one message, without a stack. */
export class BenchFailure extends Error {
  override readonly name = 'BenchFailure';
}
