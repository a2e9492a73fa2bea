/** What queues of a Millrace stand on. */
import type { Env } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import type { QueueLink } from './queue-link.ts';
import type { QueueWorker } from './queue.ts';

export interface QueueGround {
  readonly env: Env;
  readonly logger: Logger;
  readonly link: QueueLink;
  /** It is stopped when the Millrace is closed. */
  readonly onWorker: (worker: QueueWorker) => void;
}
