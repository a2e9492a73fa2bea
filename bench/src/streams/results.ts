/** What the benchmark finds out about queries. */
import type { Content } from '../clients/record-batch.ts';
import type { QueryName } from './queries.ts';
import type { SideName } from './side-names.ts';
import type { RunFigures } from './watch-run.ts';

export interface SideRuns {
  readonly side: SideName;
  readonly runs: readonly RunFigures[];
}

export interface QueryResult {
  readonly query: QueryName;
  readonly content: Content;
  readonly sides: readonly SideRuns[];
}
