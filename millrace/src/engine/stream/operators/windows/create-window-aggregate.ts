/** Chooses how the windows of a node are kept. */
import { assert } from '../../../../core/errors.ts';
import type { WindowAggregateNode } from '../../../../flow/stream-nodes.ts';
import type { Operator, OperatorContext } from '../operator.ts';
import { FixedWindows, type FixedSize } from './fixed-windows.ts';
import { PaneWindows, paneOf } from './pane-windows.ts';
import { SessionWindows } from './session-windows.ts';
import { SlidingPanes } from './sliding-panes.ts';
import { SlidingWindows } from './sliding-windows.ts';

export function createWindowAggregate(context: OperatorContext<WindowAggregateNode>): Operator {
  const { window, merge, emit } = context.node;
  switch (window.kind) {
    case 'tumbling':
      return new FixedWindows(context, { ...window, everyMs: window.sizeMs });
    case 'hopping':
      return createHopping(context, window);
    case 'sliding':
      return emit.kind === 'close' && merge !== undefined
        ? new SlidingPanes(context, window.sizeMs, window.graceMs, merge)
        : new SlidingWindows(context, window.sizeMs, window.graceMs);
    case 'session':
      assert(merge !== undefined, 'an aggregation over sessions can merge');
      return new SessionWindows(context, window.gapMs, window.graceMs, merge);
  }
}

function createHopping(context: OperatorContext<WindowAggregateNode>, size: FixedSize): Operator {
  const { emit, merge } = context.node;
  const paneMs = emit.kind === 'close' && merge !== undefined ? paneOf(size) : undefined;
  return paneMs === undefined || merge === undefined
    ? new FixedWindows(context, size)
    : new PaneWindows(context, size, paneMs, merge);
}
