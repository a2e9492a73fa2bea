/**
 * What the limit of open files means for a store: segments that were written stay open until they are synced, so that writing to ever other
 * logs takes ever more descriptors, and connections, the journal and checkpoints need some, too.
 */
import type { Env } from '../core/env.ts';
import {
  DESCRIPTORS_LEFT_MIN,
  DESCRIPTORS_LEFT_SHARE,
  DESCRIPTORS_TOLD_MS,
  OPEN_SEGMENTS_MAX,
} from '../core/limits.ts';
import type { Logger } from '../core/log.ts';
import { OpenFiles } from './open-files.ts';

export class Descriptors {
  readonly files: OpenFiles;
  private readonly env: Env;
  private readonly logger: Logger;
  /** When it was said last that there are too few; monotonic. */
  private toldMs = -Infinity;

  /** @param openSegmentsMax segments that are kept open because they were used */
  constructor(env: Env, logger: Logger, openSegmentsMax = OPEN_SEGMENTS_MAX) {
    this.files = new OpenFiles(openSegmentsMax);
    this.env = env;
    this.logger = logger;
  }

  /** From now on segments leave some to others. `onCrowded`: what keeps them open should be synced. */
  bound(onCrowded: () => void): void {
    const { descriptorsMax } = this.env.fs;
    if (descriptorsMax === Infinity) return;
    const wanted = Math.max(DESCRIPTORS_LEFT_MIN, descriptorsMax / DESCRIPTORS_LEFT_SHARE);
    // A process that may open next to none needs them for segments all the same.
    const left = Math.min(wanted, descriptorsMax / 2);
    this.files.setBound({ max: Math.floor(descriptorsMax - left), onCrowded });
  }

  /** An append was refused; said now and then, not for each. */
  tellRefusal(error: unknown): void {
    const nowMs = this.env.clock.monotonicMs();
    if (nowMs - this.toldMs < DESCRIPTORS_TOLD_MS) return;
    this.toldMs = nowMs;
    this.logger.error('Appends are refused: too many files are open', { error });
  }
}
