/** Bytes that are made for one batch: they are forgotten when the next one begins. */
import type { LaneMemory, Region } from './lane-memory.ts';

export class Scratch {
  /** First free address. */
  end = 0;
  private readonly memory: LaneMemory;
  private readonly region: Region;

  constructor(memory: LaneMemory, region: Region) {
    this.memory = memory;
    this.region = region;
  }

  clear(): void {
    this.end = this.region.start;
  }

  /** Room for `bytes` more; views of the memory may be others afterwards. */
  reserve(bytes: number): void {
    const { region } = this;
    const used = this.end - region.start;
    if (used + bytes > region.bytes)
      this.memory.resize(region, Math.max(used + bytes, region.bytes * 2));
  }

  write(bytes: Buffer, length: number): void {
    this.reserve(length);
    bytes.copy(this.memory.buffer, this.end, 0, length);
    this.end += length;
  }
}
