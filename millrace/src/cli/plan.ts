/** `millrace plan`: what a program would do, without reading any record. */
import { resolve } from 'node:path';
import { MillraceError } from '../core/errors.ts';
import { JOB_MEMORY_BYTES, SPLIT_UNIT_BYTES } from '../core/limits.ts';
import { realEnv } from '../core/real-env.ts';
import { explainStages } from '../engine/batch/planning/explain-stages.ts';
import { loadProgram } from '../engine/batch/program/load-program.ts';
import { buildStages } from '../engine/batch/planning/plan-stages.ts';
import { exitProcess } from '../engine/batch/program/process-exit.ts';
import type { StageGraph } from '../engine/batch/stage.ts';
import { explainPlan } from '../flow/explain.ts';
import type { Plan } from '../flow/plan.ts';
import { EXIT, say, writeData, writeJson } from './io.ts';
import { formatJobError } from './job-report.ts';
import { parseLimits, parseParameters, type RunFlags } from './run-options.ts';

type PlanFlags = Pick<RunFlags, 'set' | 'flow' | 'memory' | 'partitions' | 'brokers' | 'json'>;

/** Sets the exit code. @throws {MillraceError} ML_USAGE */
export async function plan(program: string, flags: PlanFlags): Promise<void> {
  const path = resolve(program);
  const limits = parseLimits(flags);
  const settings = parseParameters(flags.set ?? []);
  try {
    const { flow } = await loadProgram({ path, flow: flags.flow, settings }, realEnv().fs);
    const built = flow.plan(settings);
    const sizes = await measure(built, flags.brokers ?? process.env['MILLRACE_BROKERS']);
    const graph = buildStages(built, {
      sourceBytes: sizes.bytes,
      partitions: limits.partitions,
      memoryBytes: limits.memoryBytes ?? JOB_MEMORY_BYTES,
    });
    await print(built, graph, flags.json === true);
    for (const note of sizes.notes) say(note);
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code === 'ML_USAGE') throw error;
    say(formatJobError(error));
    process.exitCode = EXIT.failed;
  }
  exitProcess();
}

async function print(built: Plan, graph: StageGraph, isJson: boolean): Promise<void> {
  if (isJson) {
    const nodes = built.nodes.map(({ id, name, kind, inputs }) => ({ id, name, kind, inputs }));
    const { name, parameters, fingerprint } = built;
    await writeJson({ flow: name, parameters, fingerprint, nodes, ...graph });
    return;
  }
  await writeData(`${explainPlan(built).trimEnd()}\n\n${explainStages(built, graph).trimEnd()}\n`);
}

/** Sizes of the inputs, as far as they are there: a plan can be looked at before its inputs exist. */
async function measure(
  built: Plan,
  brokers: string | undefined,
): Promise<{ readonly bytes: Record<number, number>; readonly notes: readonly string[] }> {
  const bytes: Record<number, number> = {};
  const notes: string[] = [];
  const context = {
    env: realEnv(),
    directory: process.cwd(),
    splitBytes: SPLIT_UNIT_BYTES,
    brokers,
  };
  for (const node of built.nodes) {
    if (node.kind !== 'source') continue;
    try {
      const { splits } = await node.source.plan(context);
      bytes[node.id] = splits.reduce((sum, split) => sum + split.bytes, 0);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      bytes[node.id] = 0;
      notes.push(`note: the size of ${node.source.label} is not known: ${error.message}`);
    }
  }
  return { bytes, notes };
}
