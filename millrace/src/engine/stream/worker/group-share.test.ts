import { expect, test } from 'vitest';
import { countingTopology } from '../../../../test/stream/worker/counting-task.ts';
import type { Log } from '../../../client/log.ts';
import type { TaskId } from '../topology.ts';
import { GroupShare } from './group-share.ts';
import { encodeAssignment, layoutOf } from './member-data.ts';
import type { WorkerOptions } from './worker-types.ts';

interface Joined {
  readonly generation: number;
  readonly layout?: string;
  /** Of the worker; undefined: it is refused. */
  readonly tasks: readonly TaskId[] | undefined;
}

/** A worker whose group says this, one join after the other. */
function share(joins: readonly Joined[]): GroupShare {
  const topology = countingTopology(4);
  const left = [...joins];
  let generation = -1;
  const log = {
    member: () => ({
      join: () => {
        const next = left.shift();
        if (next === undefined) return Promise.reject(new Error('it joins too often'));
        generation = next.generation;
        const members =
          next.tasks === undefined ? [] : [{ label: 'a-0', address: undefined, tasks: next.tasks }];
        const layout = next.layout ?? layoutOf(topology);
        const userData = encodeAssignment({ layout, members, refused: [] });
        return Promise.resolve({ partitions: [], userData, isLeader: false });
      },
      get identity() {
        return { group: 'g', generation, memberId: 'm', instanceId: 'a-0' };
      },
      isRebalancing: false,
      leave: () => Promise.resolve(),
    }),
  };
  const options = { log: log as unknown as Log, topology, label: 'a-0', address: undefined };
  return new GroupShare(options as unknown as WorkerOptions, {
    tasks: () => [],
    onRebalance: () => {},
  });
}

const TASKS: readonly TaskId[] = [{ stage: 0, partition: 1 }];

test('tasks are kept from one generation to the next', async () => {
  const group = share([
    { generation: 1, tasks: TASKS },
    { generation: 2, tasks: TASKS },
    { generation: 4, tasks: TASKS },
  ]);
  expect(await group.join()).toMatchObject({ mayKeep: false });
  expect(await group.join()).toMatchObject({ mayKeep: true, tasks: TASKS });
  expect(await group.join()).toMatchObject({ mayKeep: false });
});

test('nothing is kept over a generation that has refused the worker: others had its tasks', async () => {
  const group = share([
    { generation: 1, tasks: TASKS },
    { generation: 2, tasks: undefined },
    { generation: 3, tasks: TASKS },
  ]);
  await group.join();
  expect(await group.join()).toMatchObject({ generation: 3, mayKeep: false });
});
