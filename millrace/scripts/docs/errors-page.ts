/** docs/reference/errors.md, from the catalogue. */
import type { ErrorEntry } from '../../src/core/errors.ts';
import { ERRORS } from '../../src/core/errors.ts';

export function errorsPage(): string {
  const entries: [string, ErrorEntry][] = Object.entries(ERRORS);
  return `# Errors

Every error that Millrace throws, rejects with or logs is a \`MillraceError\` with a \`code\` of this page. A code is part
of the public interface: it is never renamed and never reused. Beside the code an error has a \`message\` (what failed, on
which file, topic, partition or offset), a \`hint\` (what fixes it), \`fields\` (the same facts as values), \`retriable\`,
and a \`cause\` where another error is behind it. \`retriable\` says whether the same call may succeed later without
anybody changing anything; a single error may differ from its code's default.

| Code | Retriable |
|---|---|
${entries.map(([code, { retriable }]) => `| [\`${code}\`](#${code.toLowerCase()}) | ${retriable ? 'yes' : 'no'} |`).join('\n')}

${entries.map(section).join('\n\n')}
`;
}

function section([code, { summary, retriable, hint }]: [string, ErrorEntry]): string {
  return `## ${code}

${summary}.

- Retriable: ${retriable ? 'yes' : 'no'}
- What to do: ${hint}.`;
}
