/**
 * Hostile bytes in every file of a data directory: a start either succeeds or is refused with an error of ours, every read gives whole
 * batches or an error, and nothing hangs. MILLRACE_FUZZ_SECONDS=60 runs longer; MILLRACE_SEED=n repeats a run.
 */
import { expect, test } from 'vitest';
import { MillraceError } from '../../src/core/errors.ts';
import type { Env } from '../../src/core/env.ts';
import { writeFully } from '../../src/core/files.ts';
import { SimMachine } from '../../src/core/sim/sim-machine.ts';
import { decodeCheckpoint } from '../../src/log/checkpoint-format.ts';
import { readFileHeader, readGroupHeader } from '../../src/log/journal-format.ts';
import { OffsetIndex } from '../../src/log/offset-index.ts';
import { TimeIndex } from '../../src/log/time-index.ts';
import { decodeAborted } from '../../src/log/transaction-index.ts';
import { batchEnd } from '../../src/wire/kafka/records/record-batch.ts';
import { append, batchOf, DIRECTORY, logId, openOne, openStore, SMALL, values } from './fixture.ts';

const SECONDS = Number(process.env['MILLRACE_FUZZ_SECONDS'] ?? 2);
const SEED = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 1_000_000_007);

/** All files below a directory. */
function filesBelow(env: Env, directory: string): string[] {
  return env.fs.list(directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    return env.fs.stat(path)?.kind === 'directory' ? filesBelow(env, path) : [path];
  });
}

/** Changes some bytes of some files, cuts some, lengthens some. */
function corrupt(env: Env): void {
  const { random } = env;
  const files = filesBelow(env, DIRECTORY).filter((path) => !path.endsWith('/lock.db'));
  const count = 1 + Math.floor(random.next() * 3);
  for (let index = 0; index < count; index++) {
    const file = env.fs.open(files[Math.floor(random.next() * files.length)] ?? '', 'write');
    const size = file.size();
    const at = Math.floor(random.next() * (size + 1));
    const kind = random.next();
    if (kind < 0.15) file.truncate(at);
    else {
      const bytes =
        kind < 0.5
          ? random.bytes(1 + Math.floor(random.next() * 8))
          : Buffer.alloc(8, kind < 0.7 ? 0xff : 0);
      writeFully(file, bytes, 0, bytes.length, at);
    }
    file.close();
  }
}

async function fillAndStop(seed: number, clean: boolean): Promise<SimMachine> {
  const opened = await openOne({}, { seed });
  for (const value of values(60)) append(opened.log, batchOf([value]));
  append(
    opened.log,
    batchOf(['open'], { producerId: 7, producerEpoch: 0, baseSequence: 0, transactional: true }),
  );
  await opened.machine.run(opened.log.whenDurable(opened.log.logEndOffset));
  if (clean) await opened.machine.run(opened.store.close());
  else opened.machine.kill();
  return opened.machine;
}

async function startOn(machine: SimMachine): Promise<'started' | 'refused'> {
  const env = machine.reboot();
  corrupt(env);
  try {
    const { store } = await openStore(machine, env);
    const log = store.openLog(logId(1), SMALL);
    await machine.run(store.finishRecovery());
    for (let offset = log.logStartOffset; offset < log.highWatermark; offset++) {
      const result = await machine.run(
        log.read(offset, { maxBytes: 4096, atLeastOneBatch: true, isolation: 'read_committed' }),
      );
      let end = 0;
      for (let next = 0; (next = batchEnd(result.records, end, result.records.length)) !== -1; )
        end = next;
      expect(end, 'whole batches only').toBe(result.records.length);
      result.release();
    }
    await machine.run(store.close());
    return 'started';
  } catch (error) {
    if (error instanceof MillraceError && error.code !== 'ML_ASSERT') return 'refused';
    throw error;
  }
}

test(
  'a start on damaged files succeeds or is refused',
  async () => {
    const until = performance.now() + SECONDS * 1000;
    const outcomes = { started: 0, refused: 0 };
    for (let seed = SEED; performance.now() < until; seed++) {
      try {
        outcomes[await startOn(await fillAndStop(seed, seed % 2 === 0))]++;
      } catch (error) {
        throw new Error(`MILLRACE_SEED=${seed}`, { cause: error });
      }
    }
    expect(outcomes.started + outcomes.refused).toBeGreaterThan(0);
  },
  SECONDS * 1000 + 60_000,
);

test('decoders of small files give a result or nothing', () => {
  const until = performance.now() + SECONDS * 500;
  const { random } = new SimMachine(SEED).boot();
  let count = 0;
  for (; performance.now() < until; count++) {
    const bytes = random.bytes(Math.floor(random.next() * 600));
    // Half of them look right at first sight.
    if (bytes.length > 4 && random.next() < 0.5) bytes.write('MRJG', 0, 'latin1');
    decodeCheckpoint(bytes);
    if (bytes.length >= 512) readFileHeader(bytes);
    if (bytes.length >= 64) readGroupHeader(bytes, 0);
    OffsetIndex.decode(bytes, 1 + Math.floor(random.next() * 1_000_000));
    TimeIndex.decode(bytes);
    decodeAborted(bytes, 0);
  }
  expect(count).toBeGreaterThan(0);
});
