/**
 * Where the records of a node go: to all that take them. Counts them.
 *
 * Several takers get the same key, value and old value: who gets a record must not change it (`flow/streams.ts` says so to users).
 *
 * @hot
 */
import type { Receiver } from '../operators/operator.ts';

const NOBODY: Receiver = { receive: () => undefined };

export class Outlet implements Receiver {
  records = 0;
  private target: Receiver = NOBODY;
  private readonly targets: Receiver[] = [];

  receive(key: unknown, value: unknown, time: number, old: unknown): void {
    this.records++;
    this.target.receive(key, value, time, old);
  }

  connect(target: Receiver): void {
    this.targets.push(target);
    this.target = this.targets.length === 1 ? target : new FanOut(this.targets);
  }
}

class FanOut implements Receiver {
  private readonly targets: readonly Receiver[];

  constructor(targets: readonly Receiver[]) {
    this.targets = targets;
  }

  receive(key: unknown, value: unknown, time: number, old: unknown): void {
    const { targets } = this;
    for (let index = 0; index < targets.length; index++)
      (targets[index] as Receiver).receive(key, value, time, old);
  }
}
