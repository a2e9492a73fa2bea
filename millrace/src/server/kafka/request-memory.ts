/**
 * The memory that requests of all connections together may take, from their first byte to their answer.
 *
 * Owns: the count, and the queue of connections that wait for some of it, first come first served.
 * Invariant: when all of it is held by connections that wait for more, so that none could ever go on, the first of them
 * goes on beyond the limit. At most one request's worth is ever given so.
 */

interface Waiter {
  readonly bytes: number;
  /** What the waiting connection holds already. */
  readonly heldBytes: number;
  readonly go: () => void;
}

export class RequestMemory {
  private readonly limitBytes: number;
  private usedBytes = 0;
  private waiters: Waiter[] = [];
  private heldByWaitersBytes = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get used(): number {
    return this.usedBytes;
  }

  get waiting(): number {
    return this.waiters.length;
  }

  /**
   * Takes `bytes` if they are there and nobody waits.
   * @param heldBytes what the caller holds already and cannot give back before it gets more
   */
  tryTake(bytes: number, heldBytes: number): boolean {
    if (this.waiters.length > 0) return false;
    if (this.usedBytes + bytes > this.limitBytes && this.usedBytes !== heldBytes) return false;
    this.usedBytes += bytes;
    return true;
  }

  /**
   * After `tryTake` with the same arguments said no: calls `go`, later, when `bytes` have been taken for the caller.
   * @returns the way to stop waiting; nothing happens when `go` was called already
   */
  takeLater(bytes: number, heldBytes: number, go: () => void): () => void {
    const waiter: Waiter = { bytes, heldBytes, go };
    this.waiters.push(waiter);
    this.heldByWaitersBytes += heldBytes;
    this.serve();
    return () => {
      const index = this.waiters.indexOf(waiter);
      if (index < 0) return;
      this.waiters.splice(index, 1);
      this.heldByWaitersBytes -= heldBytes;
      this.serve();
    };
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
    if (this.waiters.length > 0) this.serve();
  }

  private serve(): void {
    for (;;) {
      const [first] = this.waiters;
      if (first === undefined) return;
      const fits = this.usedBytes + first.bytes <= this.limitBytes;
      const stuck = this.usedBytes === this.heldByWaitersBytes;
      if (!fits && !stuck) return;
      this.waiters.shift();
      this.heldByWaitersBytes -= first.heldBytes;
      this.usedBytes += first.bytes;
      first.go();
    }
  }
}
