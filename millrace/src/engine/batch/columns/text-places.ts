/** Where a text of the program occurs in the texts of a batch. */
import type { KeyKernels } from './kernels.ts';
import type { LaneMemory } from './lane-memory.ts';
import { BATCH_ROWS, type TextVector } from './vectors.ts';

export class TextPlaces {
  /** Address of what `find` has found, 32 bits for each row: an address, or 0. */
  readonly places: number;
  private readonly kernels: KeyKernels;
  private readonly part: number;
  private readonly length: number;

  /** @param part at least one byte */
  constructor(memory: LaneMemory, kernels: KeyKernels, part: Buffer) {
    this.kernels = kernels;
    this.places = memory.reserve(BATCH_ROWS * 4);
    this.part = memory.reserve(part.length);
    this.length = part.length;
    part.copy(memory.buffer, this.part);
  }

  /** The first occurrence in each of `rows` texts, which must have been prepared. */
  find(text: TextVector, rows: number): void {
    this.kernels.find(rows, text.ranges, this.part, this.length, this.places);
  }
}
