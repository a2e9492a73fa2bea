/** Runs workers of the counting flow on a log, and says what is wrong with what they have written. */
import { visibleBatches } from '../../../src/client/kafka/fetched-records.ts';
import type { Log } from '../../../src/client/log.ts';
import { StreamWorker } from '../../../src/engine/stream/worker/stream-worker.ts';
import type { CommitStep, WorkerEvent } from '../../../src/engine/stream/worker/worker-types.ts';
import { countingTask, countingTopology, INPUT, OUTPUT } from './counting-task.ts';

export const PARTITIONS = 4;
const KEYS = 7;

export interface WorkerSetup {
  readonly label: string;
  readonly atStep?: (step: CommitStep) => Promise<void> | void;
  readonly onEvent?: (event: WorkerEvent) => void;
  readonly sessionMs?: number;
  readonly paceRecords?: number;
}

export function countingWorker(log: Log, setup: WorkerSetup): StreamWorker {
  return new StreamWorker({
    log,
    topology: countingTopology(PARTITIONS),
    openTask: (id, host) => Promise.resolve(countingTask(id.partition, host, setup.paceRecords)),
    globals: { topics: [], add: () => {} },
    recordTopics: () => Promise.resolve(),
    label: setup.label,
    claims: [],
    address: undefined,
    from: 'beginning',
    commitIntervalMs: 20,
    sessionMs: setup.sessionMs ?? 6_000,
    transactionMs: 5_000,
    onEvent: setup.onEvent ?? (() => {}),
    ...(setup.atStep === undefined ? {} : { atStep: setup.atStep }),
  });
}

export async function createTopics(log: Log): Promise<void> {
  await log.createTopics([
    { name: INPUT, partitions: PARTITIONS, configs: {} },
    { name: OUTPUT, partitions: PARTITIONS, configs: {} },
  ]);
}

/** Words numbered `from` to `to - 1`, spread over partitions and keys. */
export async function produce(log: Log, from: number, to: number): Promise<void> {
  const producer = await log.producer({});
  for (let n = from; n < to; n++) {
    const partition = n % PARTITIONS;
    producer.append(INPUT, partition, n, `${partition}-${n % KEYS}`, 'x');
  }
  await producer.flush();
  await producer.close();
}

interface Line {
  readonly key: string;
  readonly count: number;
}

/** What is committed in the output, by partition. */
export async function output(log: Log): Promise<Line[][]> {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({
    topic: OUTPUT,
    partition,
  }));
  const ends = await log.offsets(partitions, 'stable');
  const lines: Line[][] = partitions.map(() => []);
  const left = new Set(partitions.filter((_, index) => (ends[index] ?? 0) > 0));
  const reader = log.reader({ uncommitted: false });
  reader.assign([...left].map((at) => ({ ...at, offset: 0 })));
  while (left.size > 0) {
    for (const records of await reader.poll(1_000)) {
      for (const batch of visibleBatches(records)) {
        while (batch.next()) {
          lines[records.partition]?.push({
            key: batch.data.toString('utf8', batch.keyStart, batch.keyEnd),
            count: Number(batch.data.toString('utf8', batch.valueStart, batch.valueEnd)),
          });
        }
      }
      const at = partitions[records.partition];
      if (at !== undefined && records.next >= (ends[records.partition] ?? 0)) left.delete(at);
    }
  }
  reader.close();
  return lines;
}

/** Exactly once: the counts of a key are 1, 2, 3 and so on, as far as words were written. */
export function faults(lines: readonly (readonly Line[])[], words: number): string[] {
  const wanted = new Map<string, number>();
  for (let n = 0; n < words; n++) {
    const partition = n % PARTITIONS;
    const key = `${partition}-${n % KEYS}`;
    wanted.set(key, (wanted.get(key) ?? 0) + 1);
  }
  const seen = new Map<string, number>();
  const wrong: string[] = [];
  for (const { key, count } of lines.flat()) {
    const next = (seen.get(key) ?? 0) + 1;
    if (count !== next) wrong.push(`${key}: ${count} came where ${next} was due`);
    seen.set(key, count);
  }
  for (const [key, count] of wanted)
    if (seen.get(key) !== count) wrong.push(`${key}: ended at ${seen.get(key) ?? 0}, not ${count}`);
  return wrong;
}

/** Resolves when all words are counted. */
export async function counted(log: Log, words: number): Promise<void> {
  for (;;) {
    const lines = await output(log);
    if (lines.flat().length >= words) return;
    await log.env.timers.sleep(100);
  }
}
