/**
 * Consumers, faults and crashes at random, on virtual time. `MILLRACE_SEED=n` replays one seed, `MILLRACE_SEEDS=n` runs that
 * many.
 */
import { expect, test } from 'vitest';
import {
  BrokenPromise,
  GroupWorld,
  type WorldOptions,
  type WorldReport,
} from '../../../test/groups/group-world.ts';

const TROUBLE_MS = 300_000;
const SEEDS = Number(process.env['MILLRACE_SEEDS'] ?? 12);
const FIRST_SEED = Number(process.env['MILLRACE_SEED'] ?? 1);

function run(seed: number, options: Partial<WorldOptions> = {}): Promise<WorldReport> {
  return new GroupWorld({ seed, troubleMs: TROUBLE_MS, ...options }).run();
}

/** The first broken promise of some seeds, or what happened instead. */
async function firstBroken(options: Partial<WorldOptions>): Promise<unknown> {
  for (let seed = 1; seed <= 20; seed += 1) {
    try {
      await run(seed, options);
    } catch (error) {
      return error;
    }
  }
  return 'nothing was found';
}

test('every promise to consumers holds through faults and crashes', async () => {
  const seen = new Set<string>();
  const count = process.env['MILLRACE_SEED'] === undefined ? SEEDS : 1;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed += 1) {
    const report = await run(seed).catch((error: unknown) => {
      throw new Error(`replay with MILLRACE_SEED=${seed}`, { cause: error });
    });
    for (const answer of report.answers.keys()) seen.add(answer);
    expect(report.generations).toBeGreaterThan(3);
  }
  // The trouble was real: clients have been told all that there is to be told.
  const told = [
    'join MEMBER_ID_REQUIRED',
    'join UNKNOWN_MEMBER_ID',
    'heartbeat REBALANCE_IN_PROGRESS',
    'heartbeat UNKNOWN_MEMBER_ID',
    'sync REBALANCE_IN_PROGRESS',
    'sync UNKNOWN_MEMBER_ID',
    'commit UNKNOWN_MEMBER_ID',
    'commit NONE',
    'transactional commit NONE',
    'leave NONE',
  ];
  expect(count === 1 ? told : [...seen]).toEqual(expect.arrayContaining(told));
});

test('a seed tells the same story twice', async () => {
  const [first, second] = [await run(7), await run(7)];
  expect(second).toEqual(first);
});

test('finds a coordinator that acknowledges a commit which it does not store', async () => {
  const broken = await firstBroken({
    wrap: (groups, random) =>
      wrap(groups, {
        commitOffsets: async (request) =>
          random.next() < 0.05 ? request.offsets.map(() => 'NONE') : groups.commitOffsets(request),
      }),
  });
  expect(broken).toBeInstanceOf(BrokenPromise);
});

test('finds a log that says too early that records are durable', async () => {
  expect(await firstBroken({ logLies: true })).toBeInstanceOf(BrokenPromise);
});

test('finds a coordinator that gives a member the assignment of another', async () => {
  let other: Buffer = Buffer.alloc(0);
  const broken = await firstBroken({
    wrap: (groups) =>
      wrap(groups, {
        sync: async (groupId, request) => {
          const result = await groups.sync(groupId, request);
          const assignment = other;
          if (result.error === 'NONE') other = result.assignment;
          return { ...result, assignment: result.error === 'NONE' ? assignment : other };
        },
      }),
  });
  expect(broken).toBeInstanceOf(BrokenPromise);
});

test('finds a coordinator that leaves a join without an answer', async () => {
  const broken = await firstBroken({
    wrap: (groups, random) =>
      wrap(groups, {
        join: (groupId, request, signal) =>
          random.next() < 0.02 ? new Promise(() => {}) : groups.join(groupId, request, signal),
      }),
  });
  expect(broken).toBeInstanceOf(BrokenPromise);
});

test('finds a coordinator that takes commits of members that it has expelled', async () => {
  let producerId = 1_000_000;
  const broken = await firstBroken({
    wrap: (groups) =>
      wrap(groups, {
        commitOffsets: async (request) => {
          const errors = await groups.commitOffsets(request);
          if (errors[0] === 'NONE') return errors;
          const producer = { producerId: producerId++, producerEpoch: 0 };
          const unfenced = { ...request, ...producer, generation: -1, memberId: '' };
          await groups.commitTransactionalOffsets({ ...unfenced, instanceId: null });
          await groups.completeTransaction(producer, true, 0);
          return ['NONE'];
        },
      }),
  });
  expect(broken).toBeInstanceOf(BrokenPromise);
});

type Groups = ReturnType<NonNullable<WorldOptions['wrap']>>;

/** The coordinator with some methods replaced. */
function wrap(groups: Groups, replaced: Partial<Groups>): Groups {
  return new Proxy(groups, {
    get: (target, name: keyof Groups) => {
      const method = replaced[name] ?? target[name];
      return method.bind(target);
    },
  });
}
