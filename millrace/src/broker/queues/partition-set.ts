/** The partitions of a queue: one, or those of the topic that it is over. They take turns. */
import { assert } from '../../core/errors.ts';
import { QUEUE_AHEAD_OFFSETS_MAX } from '../../core/queue-limits.ts';
import type { PartitionLog } from '../../log/types.ts';
import type { PartitionOwner } from './partition-contents.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { type Peek, QueuePartition } from './queue-partition.ts';
import type { QueueState } from './state/queue-state.ts';

const NO_OFFSETS = new Float64Array();

interface Opening {
  /** Nobody has had anything of it. */
  readonly isNew: boolean;
  /** Where one begins that has no state yet, of a topic that others write. */
  readonly start: 'first' | 'next';
}

export class PartitionSet {
  /** Those that are open, by number. */
  readonly all: QueuePartition[] = [];
  readonly logs: PartitionLog[] = [];
  private readonly owner: PartitionOwner;
  private readonly isDurable: boolean;
  private readonly stopListening: (() => void)[] = [];
  /** The index of the one that is asked first, and of the one in which `peek` has found a message. */
  private first = 0;
  private foundAt = 0;
  private isClosed = false;
  private readonly heldOffsets: (partition: QueuePartition) => Float64Array;

  /** @param heldOffsets what is with somebody, in order */
  constructor(
    owner: PartitionOwner,
    definition: QueueDefinition,
    heldOffsets: (partition: QueuePartition) => Float64Array,
  ) {
    this.owner = owner;
    this.heldOffsets = heldOffsets;
    this.isDurable = definition.durable;
  }

  /** Opens the logs that the queue is over. */
  async open(logs: readonly PartitionLog[]): Promise<void> {
    const { queue, context } = this.owner;
    const { sourceTopic, sourceOffset = 'next' } = queue.settings;
    // Nobody has had anything of a queue that was declared just now, however old the topic is.
    const isNew = sourceTopic !== undefined && !context.states.ids().includes(queue.id);
    // Partitions that a queue does not know, though it was there before, have come while it was closed.
    await this.openAll(logs, { isNew, start: isNew ? sourceOffset : 'first' });
  }

  /** Opens logs that have come since. */
  async add(logs: readonly PartitionLog[]): Promise<void> {
    await this.openAll(logs, { isNew: true, start: 'first' });
  }

  private async openAll(logs: readonly PartitionLog[], how: Opening): Promise<void> {
    const first = this.logs.length;
    this.logs.push(...logs);
    await Promise.all(logs.map((log, index) => this.openOne(log, first + index, how)));
  }

  private async openOne(
    log: PartitionLog,
    number: number,
    { isNew, start }: Opening,
  ): Promise<void> {
    const { owner, isDurable } = this;
    const { queue, context } = owner;
    const isView = queue.settings.sourceTopic !== undefined;
    const startOffset = isView && start === 'next' ? log.highWatermark : log.logStartOffset;
    const end = log.logEndOffset;
    const id = { queueId: queue.id, partition: number };
    const state = await context.states.open(id, log, { durable: isDurable, startOffset });
    if (this.isClosed) return;
    const handedOutBelow = isNew ? state.next : this.handedOutBelow(state, end);
    // Also when the next start is after a clean stop.
    state.handOutTo(handedOutBelow);
    const partition = new QueuePartition(owner, {
      number,
      log,
      state,
      isView,
      isDurable,
      handedOutBelow,
      uncertainBelow: context.wasClean || isNew ? 0 : end,
      openedAtMs: context.env.clock.nowMs(),
    });
    await partition.open();
    if (this.isClosed) {
      partition.close(NO_OFFSETS);
      return;
    }
    this.all.push(partition);
    this.all.sort((a, b) => a.number - b.number);
    this.stopListening.push(
      log.onAdvance(() => {
        if (log.logStartOffset > partition.startOffset)
          partition.deletedBelow(log.logStartOffset, this.heldOffsets(partition));
        partition.advanced();
        owner.wantTurn();
      }),
    );
    partition.advanced();
  }

  /** Offsets below it may have been with somebody before the start. After a crash that is more than was written down. */
  private handedOutBelow(state: QueueState, end: number): number {
    const { queue, context } = this.owner;
    if (context.wasClean || !this.isDurable) return state.next;
    const isOutOfOrder = state.markedFrom >= 0 || queue.settings.maxPriority !== undefined;
    return isOutOfOrder ? end : Math.min(end, state.next + QUEUE_AHEAD_OFFSETS_MAX);
  }

  of(number: number): QueuePartition {
    const [only] = this.all;
    const found = only?.number === number ? only : this.all.find((each) => each.number === number);
    assert(found !== undefined, 'a delivery is of a partition that is open');
    return found;
  }

  /** Looks for the next message; `found` has it. */
  peek(nowMs: number): Peek {
    const { all } = this;
    let answer: Peek = 'empty';
    for (let count = 0; count < all.length; count++) {
      const at = (this.first + count) % all.length;
      const peek = (all[at] as QueuePartition).peek(nowMs);
      if (peek === 'cut') return 'cut';
      if (peek === 'ready') {
        this.foundAt = at;
        this.first = (at + 1) % all.length;
        return 'ready';
      }
      if (peek === 'later') answer = 'later';
    }
    return answer;
  }

  get found(): QueuePartition {
    return this.all[this.foundAt] as QueuePartition;
  }

  sum(of: (partition: QueuePartition) => number): number {
    let sum = 0;
    for (const partition of this.all) sum += of(partition);
    return sum;
  }

  close(): void {
    this.isClosed = true;
    for (const stop of this.stopListening) stop();
    for (const partition of this.all) partition.close(this.heldOffsets(partition));
  }
}
