/**
 * Work that nobody awaits. Every promise that is neither awaited nor returned is given to a `Background`, so that no
 * failure goes unseen and a close can wait for what still runs.
 */

/** Called once per failed task, with the name it was started under. It must not throw. */
export type BackgroundFailure = (error: unknown, name: string) => void;

export class Background {
  private readonly onFailure: BackgroundFailure;
  private readonly running = new Set<Promise<void>>();

  constructor(onFailure: BackgroundFailure) {
    this.onFailure = onFailure;
  }

  /** Tasks that have not settled. */
  get count(): number {
    return this.running.size;
  }

  /** Takes over a promise: its rejection goes to the failure handler under `name`. */
  run(name: string, promise: Promise<unknown>): void {
    const watched: Promise<void> = promise.then(
      () => {
        this.running.delete(watched);
      },
      (error: unknown) => {
        this.running.delete(watched);
        this.onFailure(error, name);
      },
    );
    this.running.add(watched);
  }

  /** Resolves when every task, also those started meanwhile, has settled. Never rejects. */
  async settled(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running);
  }
}
