/**
 * Whichever prefix of the records of `__queue_state` is there after a crash, cut between any two of them, within a flush too: what the
 * flushes before it said is so, and nothing is settled that nobody has settled.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Disk, MemoryInternalLog } from '../../../../test/groups/memory-internal-log.ts';
import { silentLogger } from '../../../core/log.ts';
import { QUEUE_CHUNK_OFFSETS as CHUNK } from '../../../core/queue-limits.ts';
import { SimMachine } from '../../../core/sim/sim-machine.ts';
import type { InternalRecord } from '../../internal-log.ts';
import type { QueueState } from './queue-state.ts';
import { openQueueStates } from './queue-states.ts';

const ID = { queueId: 'q', partition: 3 };
const LOG = { logStartOffset: 0, logEndOffset: 3 * CHUNK + 99 };

interface Snapshot {
  /** Records of the log when the flush was done. */
  readonly records: number;
  readonly settled: ReadonlySet<number>;
  readonly floor: number;
  readonly next: number;
}

const step = fc.record({
  from: fc.oneof(fc.nat(LOG.logEndOffset - 1), fc.constant(-1)),
  length: fc.constantFrom(1, 1, 2, 700, CHUNK, 2 * CHUNK),
  step: fc.constantFrom(1, 1, 3),
});
const flushes = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 6,
});

function settle(
  state: QueueState,
  settled: Set<number>,
  { from, length, step: by }: { from: number; length: number; step: number },
): void {
  const first = from === -1 ? state.floor : from;
  const end = Math.min(LOG.logEndOffset, first + length);
  if (by === 1) state.settleRange(first, end);
  for (let offset = first; offset < end; offset += by) {
    state.settle(offset);
    settled.add(offset);
  }
  if (from === -1) state.handOutTo(end);
}

function recordsOf(disk: Disk): InternalRecord[] {
  return disk.batches.flatMap((batch) => (batch.kind === 'records' ? batch.records : []));
}

async function reopened(records: readonly InternalRecord[]): Promise<QueueState> {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const disk: Disk = {
    batches: [{ kind: 'records', baseOffset: 0, timestampMs: 0, producer: undefined, records }],
  };
  const log = new MemoryInternalLog({ disk, timers: env.timers, delayMs: () => 1 });
  const states = await machine.run(openQueueStates({ env, logger: silentLogger, log }));
  return machine.run(states.open(ID, LOG, { durable: true }));
}

test('any prefix of what was written is a state that was', async () => {
  await fc.assert(
    fc.asyncProperty(
      flushes,
      fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
      async (rounds, cuts) => {
        const machine = new SimMachine(1);
        const env = machine.boot();
        const disk: Disk = { batches: [] };
        const log = new MemoryInternalLog({ disk, timers: env.timers, delayMs: () => 1 });
        const states = await machine.run(openQueueStates({ env, logger: silentLogger, log }));
        const state = await machine.run(states.open(ID, LOG, { durable: true }));
        const settled = new Set<number>();
        const snapshots: Snapshot[] = [{ records: 0, settled: new Set(), floor: 0, next: 0 }];
        for (const round of rounds) {
          for (const one of round) settle(state, settled, one);
          await machine.run(states.flush());
          const { floor, next } = state;
          const records = recordsOf(disk).length;
          snapshots.push({ records, settled: new Set(settled), floor, next });
        }
        const all = recordsOf(disk);
        for (const cut of [...cuts.map((at) => at % (all.length + 1)), all.length])
          check(await reopened(all.slice(0, cut)), cut, snapshots);
      },
    ),
    { numRuns: 12 },
  );
});

function check(state: QueueState, cut: number, snapshots: readonly Snapshot[]): void {
  const before = snapshots.findLast(({ records }) => records <= cut) as Snapshot;
  const after = snapshots.find(({ records }) => records >= cut) as Snapshot;
  let count = 0;
  for (let offset = 0; offset < LOG.logEndOffset; offset++) {
    const isSettled = state.isSettled(offset);
    if (isSettled) count++;
    if (isSettled !== before.settled.has(offset))
      expect([isSettled, after.settled.has(offset)]).toEqual([true, true]);
  }
  expect(state.floor).toBeGreaterThanOrEqual(before.floor);
  expect(state.floor).toBeLessThanOrEqual(after.floor);
  expect(state.next).toBeGreaterThanOrEqual(before.next);
  expect(state.floor + state.settledAbove).toBe(count);
}
