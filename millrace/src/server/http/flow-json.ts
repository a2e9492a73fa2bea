/** A running flow as JSON: how far it is, and who runs what. */
import type { FlowViews, ViewInfo } from '../../engine/stream/views/flow-views.ts';
import { MillraceError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { timeToJson } from './view-json.ts';

export function flowToJson(views: FlowViews): JsonObject {
  const { running, flow } = views;
  const { workers, watermark, ...counts } = running.metrics();
  return {
    flow,
    recordsIn: counts.recordsIn,
    recordsOut: counts.recordsOut,
    lateDropped: counts.lateDropped,
    skipped: counts.skipped,
    lagRecords: counts.lagRecords,
    stateBytes: counts.stateBytes,
    watermark: timeToJson(watermark),
    views: viewNames(views),
    workers: workers.map(({ label, commits, commitMs, tasks }) => ({
      worker: label,
      commits,
      commitMs,
      tasks: tasks.map((task) => ({
        stage: task.task.stage,
        partition: task.task.partition,
        phase: task.phase,
        watermark: timeToJson(task.watermark),
        recordsIn: task.counters.recordsIn,
        recordsOut: task.counters.recordsOut,
        lateDropped: task.counters.lateDropped,
        skipped: task.counters.skipped,
        stateBytes: task.stateBytes,
        inputs: task.inputs.map(({ topic, partition, offset, end }) => ({
          topic,
          partition,
          offset,
          end: end ?? null,
        })),
      })),
    })),
    members: (running.assignment()?.members ?? []).map(({ label, address, tasks }) => ({
      worker: label,
      address: address ?? null,
      tasks: tasks.map(({ stage, partition }) => `${stage}-${partition}`),
    })),
  };
}

export function viewToJson({ name, kind, partitions, changes }: ViewInfo): JsonObject {
  return { name, kind, partitions, changes };
}

/** None, while the flow is starting. */
function viewNames(views: FlowViews): string[] {
  try {
    return views.list().map(({ name }) => name);
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_VIEW_MOVING') return [];
    throw error;
  }
}
