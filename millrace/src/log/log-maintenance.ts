/** What runs over the logs now and then: retention and compaction. The store calls it, one log at a time. */
import type { DiskLog } from './partition-log.ts';

export interface LogMaintenance {
  retention(log: DiskLog): Promise<void>;
  compaction(log: DiskLog): Promise<void>;
  /** Wall clock of the last run of retention, ms since 1970; -1 = never. Kept in the checkpoint. */
  readonly retentionRanMs: number;
}
