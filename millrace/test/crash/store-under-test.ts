/** The log store as the crash tests open it: everything small, so that recycling, rolling and checkpoints never stop. */
import type { Env } from '../../src/core/env.ts';
import { openLogStore } from '../../src/log/log-store.ts';
import { type Logger, silentLogger } from '../../src/core/log.ts';
import type { LogStore } from '../../src/log/types.ts';

export const DIRECTORY = '/data';

export function openSmallStore(
  env: Env,
  onFatal: (error: unknown) => void,
  logger: Logger = silentLogger,
): Promise<LogStore> {
  return openLogStore(env, {
    directory: DIRECTORY,
    onFatal,
    logger,
    verifyReads: 'all',
    journalFileBytes: 32 * 1024,
    journalBytesMax: 128 * 1024,
    checkpointJournalBytes: 48 * 1024,
    checkpointIntervalMs: 200,
    reserveBytes: 64 * 1024,
    openSegmentsMax: 6,
  });
}
