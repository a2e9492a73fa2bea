/** The two questions that the checkers ask of a graph of numbered nodes with lists of targets. */

/** Strongly connected components of more than one node (Tarjan 1972, without recursion). */
export function stronglyConnected(targets: readonly (readonly number[])[]): number[][] {
  const count = targets.length;
  const order = new Int32Array(count).fill(-1);
  const low = new Int32Array(count);
  const onStack = new Uint8Array(count);
  const stack: number[] = [];
  const components: number[][] = [];
  let visited = 0;
  for (let root = 0; root < count; root++) {
    if (order[root] !== -1) continue;
    const calls: { node: number; next: number }[] = [{ node: root, next: 0 }];
    order[root] = low[root] = visited++;
    stack.push(root);
    onStack[root] = 1;
    for (let call = calls.at(-1); call !== undefined; call = calls.at(-1)) {
      const { node } = call;
      const target = targets[node]?.[call.next++];
      if (target !== undefined) {
        if (order[target] === -1) {
          order[target] = low[target] = visited++;
          stack.push(target);
          onStack[target] = 1;
          calls.push({ node: target, next: 0 });
        } else if (onStack[target] === 1) {
          low[node] = Math.min(low[node] ?? 0, order[target] ?? 0);
        }
        continue;
      }
      calls.pop();
      const parent = calls.at(-1)?.node;
      if (parent !== undefined) low[parent] = Math.min(low[parent] ?? 0, low[node] ?? 0);
      if (low[node] !== order[node]) continue;
      const component: number[] = [];
      for (let member = stack.pop(); member !== undefined; member = stack.pop()) {
        onStack[member] = 0;
        component.push(member);
        if (member === node) break;
      }
      if (component.length > 1) components.push(component);
    }
  }
  return components;
}

export function reaches(
  targets: readonly (readonly number[])[],
  from: number,
  to: number,
): boolean {
  const seen = new Set([from]);
  const waiting = [from];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (node === to) return true;
    for (const target of targets[node] ?? [])
      if (!seen.has(target)) {
        seen.add(target);
        waiting.push(target);
      }
  }
  return false;
}
