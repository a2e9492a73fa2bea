/**
 * The two copies of the checkpoint. Both are written, one after the other, each synced before the next begins: at any
 * moment at least one is whole, and after both are written either may rot.
 */
import type { FileSystem } from '../core/env.ts';
import { readWholeFile, writeFully } from '../core/files.ts';
import { CHECKPOINT_BYTES_MAX } from '../core/limits.ts';
import { isDiskFull } from './disk-space.ts';
import { type Checkpoint, decodeCheckpoint } from './checkpoint-format.ts';

const NAMES = ['checkpoint.a', 'checkpoint.b'] as const;
/** Files grow in steps, so that most checkpoints overwrite blocks that exist. */
const STEP_BYTES = 64 * 1024;

export class CheckpointFiles {
  private readonly fs: FileSystem;
  private readonly directory: string;
  private areNamesDurable = false;

  constructor(fs: FileSystem, directory: string) {
    this.fs = fs;
    this.directory = directory;
  }

  /** The newest whole copy; undefined when there is none. */
  read(): Checkpoint | undefined {
    let newest: Checkpoint | undefined;
    for (const name of NAMES) {
      const path = `${this.directory}/${name}`;
      if (this.fs.stat(path) === undefined) continue;
      const checkpoint = decodeCheckpoint(readWholeFile(this.fs, path, CHECKPOINT_BYTES_MAX));
      if (checkpoint === undefined) continue;
      if (newest === undefined || checkpoint.header.version > newest.header.version)
        newest = checkpoint;
    }
    return newest;
  }

  /**
   * Durable, in both copies, when it resolves. When it throws, at most one copy has lost its old content.
   * @throws {MillraceError} ML_DISK_FULL, ML_FSYNC_FAILED
   */
  async write(content: Buffer): Promise<void> {
    for (const name of NAMES) await this.writeCopy(name, content);
    if (this.areNamesDurable) return;
    await this.fs.syncDirectory(this.directory);
    this.areNamesDurable = true;
  }

  private async writeCopy(name: string, content: Buffer): Promise<void> {
    const file = this.fs.open(`${this.directory}/${name}`, 'open');
    try {
      const size = file.size();
      if (content.length > size) {
        // The room first: when there is none, the old content is still there.
        const zeros = Buffer.alloc(Math.ceil(content.length / STEP_BYTES) * STEP_BYTES - size);
        try {
          writeFully(file, zeros, 0, zeros.length, size);
        } catch (error) {
          if (isDiskFull(error)) file.truncate(size);
          throw error;
        }
      }
      writeFully(file, content, 0, content.length, 0);
      await file.sync();
    } finally {
      file.close();
    }
  }
}
