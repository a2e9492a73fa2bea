/** Plays a flow on a cluster in any order of events: what is read, processed, committed, and what dies, is decided by a list of numbers. */
import type { ClusterWorker, MemoryCluster } from '../../../src/testing/memory-cluster.ts';

/** Hands out one number after the other. */
export class Choices {
  readonly #numbers: readonly number[];
  #at = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  get isEmpty(): boolean {
    return this.#at >= this.#numbers.length;
  }

  /** An integer from 0 to n - 1. */
  below(n: number): number {
    return (this.#numbers[this.#at++] ?? 0) % n;
  }
}

/** Does what the choices say, then lets the flow come to rest. */
export async function play(
  cluster: MemoryCluster,
  choices: Choices,
  more: (choices: Choices) => void = () => undefined,
): Promise<void> {
  while (!choices.isEmpty) {
    const worker = pick(cluster.workers, choices);
    const action = choices.below(16);
    if (action < 4) step(worker, cluster, choices);
    else if (action < 8) process(worker, cluster, choices);
    else if (action < 11) await cluster.commit(worker);
    else if (action === 11)
      await (choices.below(2) === 0 ? cluster.abort(worker) : cluster.failCommit(worker));
    else if (action === 12) await cluster.crash(worker);
    else if (action === 13) await cluster.deal((n) => choices.below(n));
    else if (action === 14) cluster.clock.advance(choices.below(100));
    else more(choices);
  }
}

function step(worker: ClusterWorker, cluster: MemoryCluster, choices: Choices): void {
  if (worker.tasks.length === 0) return;
  const running = pick(worker.tasks, choices);
  cluster.followGlobals(worker);
  cluster.fetch(running, pick(running.task.inputs, choices), 1 + choices.below(400));
}

/** Processes some of what is there; most of the time it reads all inputs before. */
function process(worker: ClusterWorker, cluster: MemoryCluster, choices: Choices): void {
  if (worker.tasks.length === 0) return;
  const running = pick(worker.tasks, choices);
  if (choices.below(3) > 0) for (const input of running.task.inputs) cluster.fetch(running, input);
  running.task.process(1 + choices.below(20));
  running.task.tick(cluster.clock.nowMs());
}

function pick<T>(items: readonly T[], choices: Choices): T {
  const item = items[choices.below(items.length)];
  if (item === undefined) throw new Error('there is nothing to choose from');
  return item;
}
