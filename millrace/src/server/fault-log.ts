/** Lines about what clients do wrong: they must not fill a log. */
import type { Env } from '../core/env.ts';
import { CONNECTION_FAULTS_LOGGED_PER_SECOND } from '../core/limits.ts';
import type { Logger } from '../core/log.ts';

/** Warnings about clients, so many a second; the next line tells how many were left out. */
export class FaultLog {
  private readonly env: Env;
  private readonly logger: Logger;
  private windowMs = -Infinity;
  private logged = 0;
  private suppressed = 0;

  constructor(env: Env, logger: Logger) {
    this.env = env;
    this.logger = logger;
  }

  log(message: string, fields: Readonly<Record<string, unknown>>): void {
    const nowMs = this.env.clock.monotonicMs();
    if (nowMs - this.windowMs >= 1_000) {
      this.windowMs = nowMs;
      this.logged = 0;
    }
    if (this.logged >= CONNECTION_FAULTS_LOGGED_PER_SECOND) {
      this.suppressed++;
      return;
    }
    this.logged++;
    const { suppressed } = this;
    this.suppressed = 0;
    this.logger.warn(message, suppressed === 0 ? fields : { ...fields, suppressed });
  }
}
