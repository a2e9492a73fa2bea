import { expect, test } from 'vitest';
import { GROUP_APPEND_BYTES_MAX, GROUP_APPEND_RECORDS_MAX } from '../../core/limits.ts';
import { MillraceError } from '../../core/errors.ts';
import { CollectingLogger } from '../../core/log.ts';
import type { InternalLog, InternalRecord } from '../internal-log.ts';
import { GroupLog } from './group-log.ts';

interface Append {
  readonly records: readonly InternalRecord[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A log whose appends settle when the test says so. */
function heldLog(): { readonly log: InternalLog; readonly appends: Append[] } {
  const appends: Append[] = [];
  const append = (records: readonly InternalRecord[]): Promise<void> =>
    new Promise((resolve, reject) => appends.push({ records, resolve, reject }));
  const log = { append, appendMarker: () => append([]) } as unknown as InternalLog;
  return { log, appends };
}

function record(bytes: number): InternalRecord {
  return { key: Buffer.alloc(bytes), value: null };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

test('callbacks run in the order of the calls, whatever settles first', async () => {
  const { log, appends } = heldLog();
  const groupLog = new GroupLog(log, new CollectingLogger());
  const done: string[] = [];
  const producer = { producerId: 1, producerEpoch: 0 };
  groupLog.append([record(1)], (error) => done.push(`a ${error}`));
  groupLog.marker({ producer, committed: true, coordinatorEpoch: 0 }, (error) =>
    done.push(`b ${error}`),
  );
  groupLog.append([], (error) => done.push(`c ${error}`));
  let settled = false;
  void groupLog.settled().then(() => {
    settled = true;
  });
  expect(done).toEqual([]);
  appends[1]?.reject(new MillraceError('ML_DISK_FULL', 'full'));
  await turn();
  expect([done, settled]).toEqual([[], false]);
  appends[0]?.resolve();
  await turn();
  expect(done).toEqual(['a NONE', 'b COORDINATOR_NOT_AVAILABLE', 'c NONE']);
  expect(settled).toBe(true);
  await groupLog.settled();
});

test('batches are bounded in records and bytes, and one larger record goes alone', async () => {
  const { log, appends } = heldLog();
  const groupLog = new GroupLog(log, new CollectingLogger());
  const half = GROUP_APPEND_BYTES_MAX / 2;
  const many = Array.from({ length: GROUP_APPEND_RECORDS_MAX + 1 }, () => record(1));
  const large = [record(half), record(half), record(1), record(GROUP_APPEND_BYTES_MAX + 1)];
  let error: string | undefined;
  groupLog.append([...many, ...large], (result) => {
    error = result;
  });
  const sizes = appends.map(({ records }) => records.length);
  expect(sizes).toEqual([GROUP_APPEND_RECORDS_MAX, 2, 2, 1]);
  appends[1]?.reject(new MillraceError('ML_FSYNC_FAILED', 'gone'));
  await turn();
  expect(error).toBeUndefined();
  for (const { resolve } of appends) resolve();
  await turn();
  expect(error).toBe('NOT_COORDINATOR');
});

test('a failure that nobody expects is logged', async () => {
  const { log, appends } = heldLog();
  const logger = new CollectingLogger();
  const errors: string[] = [];
  new GroupLog(log, logger).append([record(1)], (error) => errors.push(error));
  appends[0]?.reject(new MillraceError('ML_ASSERT', 'a bug'));
  await turn();
  expect(errors).toEqual(['UNKNOWN_SERVER_ERROR']);
  expect(logger.lines).toMatchObject([{ level: 'error' }]);
});
