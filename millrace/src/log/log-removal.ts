/**
 * Taking what deleted logs have on the disk out of the directory. Logs that are deleted at the same time go together: to make the end of
 * hundreds durable costs what that of one does.
 *
 * Invariants
 * - Nothing is removed while a checkpoint is under way: that syncs the files of the logs that it has captured.
 * - A removal resolves when the names are gone durably; that of a transient log when they are gone.
 */
import type { Env } from '../core/env.ts';
import { LOG_REMOVALS_AT_ONCE, LOGS_REMOVED_TOGETHER_MAX } from '../core/limits.ts';
import { logKey } from './journal-format.ts';
import { logDirectory, topicDirectory, topicsDirectory } from './store-start.ts';
import type { LogId } from './types.ts';

export interface LogRemovalOptions {
  /** Of the store. */
  readonly directory: string;
  /** Encoded records of the last checkpoint, by log. */
  readonly records: Map<string, Buffer>;
  /** Runs `work` while no checkpoint is under way. */
  readonly exclusively: (work: () => Promise<void>) => Promise<void>;
}

interface Removal {
  readonly id: LogId;
  readonly isTransient: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class LogRemoval {
  private readonly env: Env;
  private readonly options: LogRemovalOptions;
  private readonly waiting: Removal[] = [];
  private isRunning = false;

  constructor(env: Env, options: LogRemovalOptions) {
    this.env = env;
    this.options = options;
  }

  /** Forgets a log that is not open, and removes its files. */
  remove(id: LogId, isTransient: boolean): Promise<void> {
    const removed = new Promise<void>((resolve, reject) => {
      this.waiting.push({ id, isTransient, resolve, reject });
    });
    if (!this.isRunning) void this.run();
    return removed;
  }

  /** Never rejects: whoever waits is told. */
  private async run(): Promise<void> {
    this.isRunning = true;
    // Not before all have come that the same commit of the journal, say, has brought.
    await Promise.resolve();
    while (this.waiting.length > 0)
      await this.options.exclusively(() =>
        this.removeAll(this.waiting.splice(0, LOGS_REMOVED_TOGETHER_MAX)),
      );
    this.isRunning = false;
  }

  private async removeAll(removals: readonly Removal[]): Promise<void> {
    const topics = groups(removals, ({ id }) => id.topicId).entries();
    const removed: { readonly from: string; readonly removal: Removal }[] = [];
    const remove = async (): Promise<void> => {
      for (const [topicId, ofTopic] of topics)
        await told(ofTopic, async () => {
          const from = await this.removeFiles(topicId, ofTopic);
          for (const removal of ofTopic) removed.push({ from, removal });
        });
    };
    await Promise.all(Array.from({ length: LOG_REMOVALS_AT_ONCE }, remove));
    for (const [from, all] of groups(removed, (each) => each.from)) {
      const gone = all.map(({ removal }) => removal);
      await told(gone, async () => {
        const isPromised = gone.some(({ isTransient }) => !isTransient);
        if (isPromised) await this.env.fs.syncDirectory(from);
        for (const { resolve } of gone) resolve();
      });
    }
  }

  /** Removes logs of one topic. @returns the directory in which a name has gone */
  private async removeFiles(topicId: string, logs: readonly Removal[]): Promise<string> {
    const { fs } = this.env;
    const { directory, records } = this.options;
    for (const { id } of logs) {
      records.delete(logKey(topicId, id.partition));
      await fs.removeDirectory(logDirectory(directory, id));
    }
    const topic = topicDirectory(directory, topicId);
    await fs.removeIfEmpty(topic);
    return fs.stat(topic) === undefined ? topicsDirectory(directory) : topic;
  }
}

function groups<Value>(
  values: readonly Value[],
  nameOf: (value: Value) => string,
): Map<string, Value[]> {
  const found = new Map<string, Value[]>();
  for (const value of values) {
    const name = nameOf(value);
    const group = found.get(name);
    if (group === undefined) found.set(name, [value]);
    else group.push(value);
  }
  return found;
}

/** Whoever waits for `work` is told when it fails. */
async function told(waiting: readonly Removal[], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    for (const { reject } of waiting) reject(error);
  }
}
