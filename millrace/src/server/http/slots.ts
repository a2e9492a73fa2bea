/** Requests that stay: no more of them than a process can serve. */
import { MillraceError } from '../../core/errors.ts';

export class Slots {
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#count;
  }

  /** @returns gives it back; once @throws {MillraceError} ML_HTTP_BUSY */
  take(): () => void {
    if (this.#count >= this.#max)
      throw new MillraceError('ML_HTTP_BUSY', `${this.#max} subscriptions are open`);
    this.#count++;
    let isTaken = true;
    return () => {
      if (isTaken) this.#count--;
      isTaken = false;
    };
  }
}
