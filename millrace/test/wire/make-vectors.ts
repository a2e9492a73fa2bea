/**
 * Makes kafka-vectors.txt: random messages, and the bytes that Apache Kafka itself encodes them to. With a number as
 * argument it makes nothing but compares that many messages of each version with our encoder.
 *
 *   CLASSPATH=<kafka-clients, kafka-group-coordinator, kafka-transaction-coordinator, jackson-{core,databind,annotations}
 *   and slf4j-api jars> node millrace/test/wire/make-vectors.ts [count] > millrace/test/wire/kafka-vectors.txt
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { encodeMessage } from '../../src/wire/kafka/codec.ts';
import type { Message } from '../../src/wire/kafka/schema.ts';
import { ALL_MESSAGES, versionsOf } from './all-messages.ts';
import { toKafkaJson } from './kafka-json.ts';
import { messageArbitrary, type Value } from './message-arbitrary.ts';

const SEED = 430;
/** Kafka 4.3 dropped these; kafkajs is their oracle. */
const DROPPED = /^Produce(?:Request|Response) [012] /;
const VECTOR_BYTES_MAX = 200;

interface Sample {
  readonly line: string;
  readonly ours: string;
}

function sample(message: Message, version: number, value: Value): Sample {
  return {
    line: `${message.name} ${version} ${JSON.stringify(toKafkaJson(message, version, value))}`,
    ours: encodeMessage(message, version, value).toString('hex'),
  };
}

function samplesOf(message: Message, version: number, count: number): readonly Sample[] {
  const values = fc.sample(messageArbitrary(message, version), { numRuns: count, seed: SEED });
  return values.map((value) => sample(message, version, value));
}

/** Of many, the one with most fields that is still easy to read. */
function vectorOf(message: Message, version: number): Sample {
  const samples = samplesOf(message, version, 200);
  const fit = samples.filter(({ ours }) => ours.length / 2 <= VECTOR_BYTES_MAX);
  const [chosen] = fit.toSorted((a, b) => fieldCount(b) - fieldCount(a));
  if (chosen === undefined) throw new Error(message.name);
  return chosen;
}

function fieldCount({ line }: Sample): number {
  return line.split('":').length;
}

function kafka(lines: readonly string[]): readonly string[] {
  const source = fileURLToPath(new URL('KafkaEncoder.java', import.meta.url));
  const classpath = process.env['CLASSPATH'] ?? '';
  const result = spawnSync('java', ['-cp', classpath, source], {
    input: `${lines.join('\n')}\n`,
    maxBuffer: 2 ** 30,
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(result.stderr);
  return result.stdout.trimEnd().split('\n');
}

const count = Number(process.argv[2] ?? 0);
const samples = ALL_MESSAGES.flatMap((message) =>
  versionsOf(message).flatMap((version) =>
    count > 0 ? samplesOf(message, version, count) : [vectorOf(message, version)],
  ),
).filter(({ line }) => !DROPPED.test(line));
const theirs = kafka(samples.map(({ line }) => line));
let differences = 0;
for (const [index, { line, ours }] of samples.entries()) {
  const bytes = theirs[index] ?? '';
  // Our default for a field that only replicas send is 2^53-1, Kafka's 2^63-1.
  const known =
    line.startsWith('FetchRequest 18 ') && line.includes(String(Number.MAX_SAFE_INTEGER));
  if (bytes !== ours && !known) {
    differences++;
    process.stderr.write(`${line}\n  ours  ${ours}\n  Kafka ${bytes}\n`);
  }
  if (count === 0 && !known) {
    const space = line.indexOf(' ', line.indexOf(' ') + 1);
    process.stdout.write(`${line.slice(0, space)} ${bytes} ${line.slice(space + 1)}\n`);
  }
}
process.stderr.write(`${samples.length} messages, ${differences} differences\n`);
