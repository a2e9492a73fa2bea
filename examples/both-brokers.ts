/**
 * One flow, wherever the log is: in this process, on a Millrace over the network, on Apache Kafka. Counts words, says the counts.
 *
 *     node examples/both-brokers.ts                    a log in ./millrace-data, without a broker
 *     node examples/both-brokers.ts 127.0.0.1:9092     Millrace, or Kafka
 */
import { connectMillrace, flow, json, type Millrace, openMillrace, string, topic } from 'millrace';

const name = 'word-counts';
export const lines = topic('lines', { value: string(), create: { partitions: 2 } });
export const counts = topic('word-counts', { key: string(), value: json<number>() });

export const wordCounts = flow(name, (f) => {
  f.read(lines)
    .flatMap((line) => line.toLowerCase().match(/[a-z]+/g) ?? [])
    .keyBy((word) => word)
    .count('words')
    .write(counts);
});

/** Writes the lines, and reads counts until `isDone` says so of the latest ones. */
export async function countWords(
  millrace: Millrace,
  text: readonly string[],
  isDone: (latest: ReadonlyMap<string, number>) => boolean,
): Promise<ReadonlyMap<string, number>> {
  await millrace.produce(
    lines,
    text.map((value) => ({ value })),
  );
  await using running = millrace.run(wordCounts);
  await running.ready;
  const latest = new Map<string, number>();
  for await (const { key, value } of millrace.consume(counts)) {
    latest.set(key, value);
    if (isDone(latest)) break;
  }
  return latest;
}

if (import.meta.main) {
  const [brokers] = process.argv.slice(2);
  await using millrace = await (brokers === undefined
    ? openMillrace({ dir: './millrace-data' })
    : connectMillrace({ brokers }));
  const text = ['to be or not to be', 'that is the question'];
  const latest = await countWords(millrace, text, (now) => (now.get('be') ?? 0) >= 2);
  for (const [word, count] of latest) process.stdout.write(`${word} ${count}\n`);
}
