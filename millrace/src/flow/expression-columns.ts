/** Walks over the columns that an expression reads. */
import type { Expression } from './columns.ts';

/** The names of the columns that it reads, each once, in the order of their first use. */
export function columnsOf(expression: Expression): readonly string[] {
  const names = new Set<string>();
  const visit = (at: Expression): void => {
    if (at.kind === 'column') names.add(at.name);
    for (const part of partsOf(at)) visit(part);
  };
  visit(expression);
  return [...names];
}

/** The same expression for rows that may lack columns. */
export function withOptionalColumns(expression: Expression): Expression {
  const again = withOptionalColumns;
  switch (expression.kind) {
    case 'column':
      return { ...expression, isOptional: true };
    case 'literal':
      return expression;
    case 'compare':
    case 'arithmetic':
      return { ...expression, left: again(expression.left), right: again(expression.right) };
    case 'and':
    case 'or':
      return { ...expression, terms: expression.terms.map(again) };
    case 'not':
      return { ...expression, term: again(expression.term) };
    case 'in':
    case 'isNull':
      return { ...expression, value: again(expression.value) };
    case 'text':
    case 'number':
    case 'lower':
    case 'before':
    case 'words':
      return { ...expression, text: again(expression.text) };
  }
}

function partsOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'column':
    case 'literal':
      return [];
    case 'compare':
    case 'arithmetic':
      return [expression.left, expression.right];
    case 'and':
    case 'or':
      return expression.terms;
    case 'not':
      return [expression.term];
    case 'in':
    case 'isNull':
      return [expression.value];
    case 'text':
    case 'number':
    case 'lower':
    case 'before':
    case 'words':
      return [expression.text];
  }
}
