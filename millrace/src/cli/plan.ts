/** `millrace plan`: what a program would do, without reading any record. */
import { resolve } from 'node:path';
import { parseSettings } from '../broker/settings.ts';
import { MillraceError } from '../core/errors.ts';
import { JOB_MEMORY_BYTES, SPLIT_UNIT_BYTES } from '../core/limits.ts';
import { realEnv } from '../core/real-env.ts';
import { explainStages } from '../engine/batch/planning/explain-stages.ts';
import { buildPlan, loadProgram } from '../engine/batch/program/load-program.ts';
import { buildStages } from '../engine/batch/planning/plan-stages.ts';
import { exitProcess } from '../engine/batch/program/process-exit.ts';
import { boundPlan } from '../engine/bounded/bound-plan.ts';
import { explainTopology } from '../engine/stream/planning/explain-topology.ts';
import { planFlow, sourceTopics } from '../engine/stream/runner/prepare-flow.ts';
import type { Topology } from '../engine/stream/topology.ts';
import { explainPlan } from '../flow/explain.ts';
import type { Plan } from '../flow/plan.ts';
import type { Until } from '../flow/source.ts';
import { hasTopics } from '../flow/stream-faults.ts';
import { dataDirectory } from './data-directory.ts';
import { EXIT, say, writeData, writeJson } from './io.ts';
import { formatJobError } from './job-report.ts';
import { findPartitions, openKnownLog } from './known-topics.ts';
import { touchesTopics } from './run-job.ts';
import { parseLimits, parseParameters, type RunFlags } from './run-options.ts';
import { checkBounded, checkUntil, parseUntil } from './stream-options.ts';
import { brokersOf } from './brokers.ts';
import type { TopicLog } from './topic-log.ts';

type PlanFlags = Pick<
  RunFlags,
  'set' | 'flow' | 'memory' | 'partitions' | 'brokers' | 'json' | 'until' | 'data'
>;

interface Planned {
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

/** Sets the exit code. @throws {MillraceError} ML_USAGE */
export async function plan(program: string, flags: PlanFlags): Promise<void> {
  const path = resolve(program);
  parseLimits(flags);
  const env = realEnv();
  const until = flags.until === undefined ? undefined : parseUntil(flags.until, env.clock);
  const settings = parseParameters(flags.set ?? []);
  try {
    const { flow } = await loadProgram({ path, flow: flags.flow, settings }, env.fs);
    const built = buildPlan(flow, settings);
    const { text, json, notes } = await planOn(built, flags, until);
    if (flags.json === true) await writeJson({ ...about(built), ...json });
    else await writeData(`${explainPlan(built).trimEnd()}\n\n${text.trimEnd()}\n`);
    for (const note of notes) say(note);
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code === 'ML_USAGE') throw error;
    say(formatJobError(error));
    process.exitCode = EXIT.failed;
  }
  exitProcess();
}

async function planOn(built: Plan, flags: PlanFlags, until: Until | undefined): Promise<Planned> {
  const readsTopics = hasTopics(built);
  const isEndless = readsTopics && until === undefined;
  if (!isEndless) checkBounded(flags, built, readsTopics);
  if (until !== undefined) checkUntil(until, sourceTopics(built));
  const brokers = brokersOf(flags.brokers);
  const topics = touchesTopics(built)
    ? await openKnownLog(realEnv(), brokers, dataDirectory(flags.data))
    : undefined;
  try {
    return isEndless
      ? await planEndless(built, flags, topics)
      : await planBounded(built, flags, { topics, until });
  } finally {
    await topics?.close();
  }
}

async function planEndless(
  built: Plan,
  flags: PlanFlags,
  topics: TopicLog | undefined,
): Promise<Planned> {
  const { partitions: wanted } = parseLimits(flags);
  const { partitions, notes } = await findPartitions(
    built,
    topics?.log,
    // What a broker that is not told otherwise gives a topic.
    wanted ?? parseSettings({}).numPartitions,
  );
  const topology = planFlow(built, partitions, wanted);
  return { text: explainTopology(topology), json: topologyData(topology), notes };
}

async function planBounded(
  built: Plan,
  flags: PlanFlags,
  at: { readonly topics: TopicLog | undefined; readonly until: Until | undefined },
): Promise<Planned> {
  const limits = parseLimits(flags);
  const bounded = boundPlan(built);
  const { bytes, notes } = await measure(bounded, at.topics?.brokers, at.until);
  const graph = buildStages(bounded, {
    sourceBytes: bytes,
    partitions: limits.partitions,
    memoryBytes: limits.memoryBytes ?? JOB_MEMORY_BYTES,
  });
  return { text: explainStages(bounded, graph), json: { ...graph }, notes };
}

function about({ nodes, name, parameters, fingerprint }: Plan): Record<string, unknown> {
  return {
    flow: name,
    parameters,
    fingerprint,
    nodes: nodes.map((node) => ({
      id: node.id,
      name: node.name,
      kind: node.kind,
      inputs: node.inputs,
    })),
  };
}

/** What of a topology is data. */
function topologyData(topology: Topology): Record<string, unknown> {
  const { internalTopics, outputTopics, deadLetters } = topology;
  return {
    stages: topology.stages.map(({ id, partitions, nodes, inputs, globals, exits }) => ({
      id,
      partitions,
      nodes,
      inputs: inputs.map(({ topic, from }) => ({ topic, from: from.kind })),
      globals: globals.map(({ topic }) => topic),
      exits: exits.map((exit) =>
        exit.kind === 'sink'
          ? { kind: exit.kind, topic: exit.port.name, partitions: exit.partitions }
          : {
              kind: exit.kind,
              topic: exit.exchange.topic,
              partitions: exit.exchange.partitions,
              to: exit.exchange.to,
            },
      ),
    })),
    internalTopics,
    outputTopics,
    deadLetters: deadLetters?.port.name ?? null,
  };
}

/** Sizes of the inputs, as far as they are there: a plan can be looked at before its inputs exist. */
async function measure(
  built: Plan,
  brokers: string | undefined,
  until: Until | undefined,
): Promise<{ readonly bytes: Record<number, number>; readonly notes: readonly string[] }> {
  const bytes: Record<number, number> = {};
  const notes: string[] = [];
  const context = {
    env: realEnv(),
    directory: process.cwd(),
    splitBytes: SPLIT_UNIT_BYTES,
    brokers,
    until,
  };
  for (const node of built.nodes) {
    if (node.kind !== 'source') continue;
    const { source } = node;
    bytes[node.id] = 0;
    if (source.topic !== undefined && brokers === undefined) {
      notes.push(`note: the size of ${source.label} is not known: there is no log yet`);
      continue;
    }
    try {
      const { splits } = await source.plan(context);
      bytes[node.id] = splits.reduce((sum, split) => sum + split.bytes, 0);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      notes.push(`note: the size of ${source.label} is not known: ${error.message}`);
    }
  }
  return { bytes, notes };
}
