/** The log store as the crash tests open it: everything small, so that recycling, rolling and checkpoints never stop. */
import type { Env } from '../../src/core/env.ts';
import { openLogStore } from '../../src/log/log-store.ts';
import { type Logger, silentLogger } from '../../src/core/log.ts';
import type { LogStore } from '../../src/log/types.ts';

export const DIRECTORY = '/data';

export interface SmallStoreOptions {
  /** Default `/data`, which a simulated machine has. */
  readonly directory?: string;
  readonly logger?: Logger;
}

export function openSmallStore(
  env: Env,
  onFatal: (error: unknown) => void,
  { directory = DIRECTORY, logger = silentLogger }: SmallStoreOptions = {},
): Promise<LogStore> {
  return openLogStore(env, {
    directory,
    onFatal,
    logger,
    verifyReads: env.random.next() < 0.5 ? 'all' : 'cold',
    retentionIntervalMs: 150,
    compactionIntervalMs: 170,
    journalFileBytes: 32 * 1024,
    journalBytesMax: 128 * 1024,
    checkpointJournalBytes: 48 * 1024,
    checkpointIntervalMs: 200,
    reserveBytes: 64 * 1024,
    openSegmentsMax: 6,
  });
}
