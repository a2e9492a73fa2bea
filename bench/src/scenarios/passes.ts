/**
 * The scenarios of the broker benchmark. A pass is what one side does between one start and one stop; the passes of
 * all sides alternate, so that a change of the machine's mood hits all of them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { endToEndLatencies } from '../clients/end-to-end.ts';
import { javaConsume, javaEndToEnd, javaProduce } from '../clients/java.ts';
import type { Rate } from '../clients/rate.ts';
import { kcatConsume, kcatProduce } from '../clients/kcat.ts';
import type { Content } from '../clients/record-batch.ts';
import {
  preload,
  readContent,
  touchPartitions,
  type TopicShape,
  wireConsume,
  wireProduce,
} from '../clients/wire-load.ts';
import type { BrokerOptions, ClientName, SideName } from '../options.ts';
import type { Sample } from '../samples.ts';
import { type Session, warmUp, type Window } from '../session.ts';
import { percentile } from '../statistics.ts';

/** What a topic held when it was consumed: the same on all sides, or the figures are worth nothing. */
export interface SeenContent {
  readonly cell: string;
  readonly side: string;
  readonly content: Content;
}

/** Where a pass puts what it finds, as it finds it: a failure later on does not lose it. */
export interface Findings {
  readonly samples: Sample[];
  readonly contents: SeenContent[];
}

export interface Pass {
  readonly title: string;
  readonly sides: readonly SideName[];
  run(session: Session, findings: Findings): Promise<void>;
}

const MEGA = 1e6;
const REST_MS = 3000;
/** The JVM client compiles for longer than the others. */
const JAVA_WARMUP_MS = 2500;
const OTHER_WARMUP_MS = 700;
const LATENCY_RECORD_BYTES = 100;
const LATENCY_WARMUP_MS = 1500;
const END_TO_END_TOOL_RECORDS = 2000;
const LOAD_PARTITIONS = 32;
const LOAD_RECORD_BYTES = 1024;

/** The passes of one round, in order. */
export function makePasses(options: BrokerOptions): Pass[] {
  const passes: Pass[] = [];
  const asked = new Set(options.scenarios);
  if (asked.has('start') || asked.has('memory')) passes.push(memoryPass(options));
  for (const partitionCount of options.partitionCounts) {
    if (asked.has('produce')) passes.push(producePass(options, partitionCount));
    if (asked.has('consume')) passes.push(consumePass(options, partitionCount));
  }
  if (asked.has('latency')) passes.push(latencyPass(options));
  return passes;
}

function memoryPass(options: BrokerOptions): Pass {
  const withMemory = options.scenarios.includes('memory');
  return {
    title: withMemory ? 'start and memory' : 'start',
    sides: options.sides.filter((side) => side === 'millrace' || side === 'kafka'),
    run: async (session, { samples }) => {
      const side = session.variant.name;
      samples.push({
        metric: 'startMs',
        cell: 'empty directory',
        side,
        value: session.peer.startMs,
        othersCores: session.startOthersCores,
      });
      if (withMemory) {
        await sleep(REST_MS);
        const value = session.peer.usage().residentBytes / MEGA;
        samples.push({ metric: 'restMB', cell: 'three seconds after the start', side, value });
        const topic = { name: 'load', partitionCount: LOAD_PARTITIONS };
        const { window } = await session.withTopic(topic, () =>
          session.measured(async () => {
            await wireProduce({
              address: session.peer,
              topic,
              recordBytes: LOAD_RECORD_BYTES,
              warmupMs: 0,
              measureMs: options.seconds * 1000,
            });
            await wireConsume(session.peer, topic);
          }),
        );
        samples.push({
          metric: 'loadMB',
          cell: `${LOAD_RECORD_BYTES} B, ${LOAD_PARTITIONS} partitions, produced and consumed`,
          side,
          value: window.brokerResidentBytesMax / MEGA,
        });
      }
    },
  };
}

function producePass(options: BrokerOptions, partitionCount: number): Pass {
  return {
    title: `produce, ${partitionCount} partitions`,
    sides: options.sides,
    run: async (session, { samples }) => {
      await warmUp(session);
      for (const client of options.clients) {
        for (const recordBytes of options.recordSizes) {
          const topic = { name: `produce-${client}-${recordBytes}`, partitionCount };
          const measureMs = options.seconds * 1000;
          const { result, window } = await session.withTopic(topic, async () => {
            await touchPartitions(session.peer, topic);
            return session.measured((onWindow) =>
              produceWith(client, { session, topic, recordBytes, measureMs, onWindow }),
            );
          });
          const cell = cellName(client, recordBytes, partitionCount);
          const of = { cell, side: session.variant.name, recordBytes };
          samples.push(...rateSamples('produce', of, { rate: result, window }));
        }
      }
    },
  };
}

interface ProduceWork {
  readonly session: Session;
  readonly topic: TopicShape;
  readonly recordBytes: number;
  readonly measureMs: number;
  readonly onWindow: (edge: 'begin' | 'end') => void;
}

function produceWith(client: ClientName, work: ProduceWork): Promise<Rate> {
  const { session, topic, recordBytes, measureMs, onWindow } = work;
  const address = session.peer;
  const common = { recordBytes, measureMs, onWindow };
  if (client === 'java') {
    const bootstrap = bootstrapOf(session);
    return javaProduce({ bootstrap, topic: topic.name, ...common, warmupMs: JAVA_WARMUP_MS });
  }
  const produce = client === 'wire' ? wireProduce : kcatProduce;
  return produce({ address, topic, ...common, warmupMs: OTHER_WARMUP_MS });
}

function consumePass(options: BrokerOptions, partitionCount: number): Pass {
  return {
    title: `consume, ${partitionCount} partitions`,
    sides: options.sides.filter((side) => side === 'millrace' || side === 'kafka'),
    run: async (session, { samples, contents }) => {
      await warmUp(session);
      const side = session.variant.name;
      for (const recordBytes of options.recordSizes) {
        const topic = { name: `consume-${recordBytes}`, partitionCount };
        await session.withTopic(topic, async () => {
          const recordCount = await preload(session.peer, topic, {
            recordBytes,
            recordCount: Math.ceil(options.consumeBytes / recordBytes),
          });
          const content = await readContent(session.peer, topic);
          contents.push({ cell: `${recordBytes} B, ${partitionCount} partitions`, side, content });
          for (const client of options.clients) {
            const { result, window } = await session.measured(() =>
              consumeWith(client, { session, topic, recordCount }),
            );
            const cell = cellName(client, recordBytes, partitionCount);
            samples.push(
              ...rateSamples('consume', { cell, side, recordBytes }, { rate: result, window }),
            );
          }
        });
      }
    },
  };
}

interface ConsumeWork {
  readonly session: Session;
  readonly topic: TopicShape;
  readonly recordCount: number;
}

function consumeWith(client: ClientName, work: ConsumeWork): Promise<Rate> {
  const { session, topic, recordCount } = work;
  if (client === 'wire') return wireConsume(session.peer, topic);
  if (client === 'kcat') return kcatConsume({ address: session.peer, topic, recordCount });
  return javaConsume({ bootstrap: bootstrapOf(session), topic: topic.name, recordCount });
}

function latencyPass(options: BrokerOptions): Pass {
  return {
    title: 'latency',
    sides: options.sides,
    run: async (session, { samples }) => {
      await warmUp(session);
      const side = session.variant.name;
      for (const recordsPerSecond of options.rates) {
        const topic = { name: `latency-${recordsPerSecond}`, partitionCount: 1 };
        const { result: latencies, window } = await session.withTopic(topic, () =>
          session.measured(() =>
            endToEndLatencies({
              address: session.peer,
              topic: topic.name,
              recordsPerSecond,
              recordBytes: LATENCY_RECORD_BYTES,
              warmupMs: LATENCY_WARMUP_MS,
              measureMs: options.seconds * 1000,
            }),
          ),
        );
        const cell = `wire, ${recordsPerSecond.toLocaleString('en-US')} records/s of ${LATENCY_RECORD_BYTES} B`;
        const p50Ms = percentile(latencies, 0.5);
        const p99Ms = percentile(latencies, 0.99);
        samples.push(...latencySamples({ cell, side }, { p50Ms, p99Ms, window }));
      }
      if (options.clients.includes('java')) {
        const topic = { name: 'latency-java', partitionCount: 1 };
        const { result: report, window } = await session.withTopic(topic, () =>
          session.measured(() =>
            javaEndToEnd({
              bootstrap: bootstrapOf(session),
              topic: topic.name,
              recordCount: END_TO_END_TOOL_RECORDS,
              recordBytes: LATENCY_RECORD_BYTES,
            }),
          ),
        );
        const cell = 'java, one record after the other';
        samples.push(...latencySamples({ cell, side }, { ...report, window }));
      }
    },
  };
}

function latencySamples(
  of: { readonly cell: string; readonly side: string },
  measured: { readonly p50Ms: number; readonly p99Ms: number; readonly window: Window },
): Sample[] {
  const { othersCores } = measured.window;
  return [
    { metric: 'latencyP50Ms', ...of, value: measured.p50Ms, othersCores },
    { metric: 'latencyP99Ms', ...of, value: measured.p99Ms, othersCores },
  ];
}

function bootstrapOf(session: Session): string {
  return `${session.peer.host}:${session.peer.port}`;
}

function cellName(client: ClientName, recordBytes: number, partitionCount: number): string {
  const partitions = partitionCount === 1 ? '1 partition' : `${partitionCount} partitions`;
  return `${client}, ${recordBytes.toLocaleString('en-US')} B, ${partitions}`;
}

function rateSamples(
  kind: 'produce' | 'consume',
  of: { readonly cell: string; readonly side: string; readonly recordBytes: number },
  measured: { readonly rate: Rate; readonly window: Window },
): Sample[] {
  const { cell, side, recordBytes } = of;
  const { rate, window } = measured;
  const { othersCores, clientCores } = window;
  const load = { othersCores, clientCores };
  const megabytes = (rate.records * recordBytes) / MEGA;
  const value = {
    bytes: megabytes / rate.seconds,
    records: rate.records / rate.seconds,
    cpu: window.brokerCpuSeconds / (megabytes / 1000),
  };
  return [
    { metric: `${kind}MBs`, cell, side, value: value.bytes, ...load },
    { metric: `${kind}Records`, cell, side, value: value.records, ...load },
    { metric: `${kind}Cpu`, cell, side, value: value.cpu, ...load },
  ];
}
