/** A form that is made from a schema. It changes nothing that nobody changes in it. */
import { type Schema, Validator } from "@cfworker/json-schema";
import Form, { getDefaultRegistry } from "@rjsf/core";
import type { ErrorSchema, FieldProps, RJSFSchema, UiSchema, ValidatorType } from "@rjsf/utils";
import { createContext, useCallback, useContext, useMemo, useRef } from "react";
import { type Json, type JsonObject, pathOf } from "./content";
import { filledAt, type Path } from "./edits";
import { TEMPLATES, WIDGETS } from "./fields";
import { documentForForm, type SchemaDocument } from "./schemas";
import type { Fault } from "./useFaults";

type Props = {
  document: SchemaDocument;
  content: JsonObject;
  faults: readonly Fault[];
  onChange: (content: JsonObject) => void;
};

type TakeChange = (value: unknown, path: Path) => void;

const Change = createContext<TakeChange>(() => undefined);
const { SchemaField } = getDefaultRegistry().fields as { SchemaField: React.ComponentType<FieldProps> };

export default function SchemaForm({ document, content, faults, onChange }: Props) {
  const isTouched = useRef(false);
  const made = useRef(new Set<string>());
  // The library takes functions of two renderings for the same, and keeps the older one.
  const latest = useRef({ content, onChange });
  latest.current = { content, onChange };
  const take = useCallback((value: unknown, path: Path) => {
    // Whatever the form would add on its own is not a change.
    if (!isTouched.current) return;
    const { content, onChange } = latest.current;
    const next = filledAt(content, path, value as Json | undefined, made.current);
    latest.current = { content: next, onChange };
    onChange(next);
  }, []);
  const touch = () => {
    isTouched.current = true;
  };
  const schema = useMemo(() => documentForForm(document) as RJSFSchema, [document]);
  const errors = useMemo(() => errorSchema(faults), [faults]);
  return (
    <div
      className="schema-form"
      onPointerDownCapture={touch}
      onKeyDownCapture={touch}
      onChangeCapture={touch}
    >
      <Change value={take}>
        <Form
          schema={schema}
          uiSchema={UI}
          formData={content}
          validator={VALIDATOR}
          fields={FIELDS}
          widgets={WIDGETS}
          templates={TEMPLATES}
          extraErrors={errors}
          experimental_defaultFormStateBehavior={NO_DEFAULTS}
          noHtml5Validate
          noValidate
          showErrorList={false}
          tagName="div"
          idPrefix="form"
        />
      </Change>
    </div>
  );
}

/** A field whose changes do not go through the form: it would drop what another branch of the schema has. */
function Field(props: FieldProps) {
  const take = useContext(Change);
  const isRoot = props.fieldPathId.path.length === 0;
  return (
    <SchemaField
      {...props}
      onChange={
        isRoot ? (value, path) => take(typeof value === "symbol" ? undefined : value, path) : props.onChange
      }
    />
  );
}

// A field for null would write it where nothing is.
const FIELDS = { SchemaField: Field, NullField: () => null };

const UI: UiSchema = { "ui:submitButtonOptions": { norender: true } };

const NO_DEFAULTS = {
  emptyObjectFields: "skipDefaults",
  allOf: "skipDefaults",
  arrayMinItems: { populate: "never" },
  constAsDefaults: "never",
} as const;

/** Return faults as the form has them: by member, with the messages of each in __errors. */
export function errorSchema(faults: readonly Fault[]): ErrorSchema {
  const root: Record<string, unknown> = {};
  for (const fault of faults) {
    let node = root;
    for (const part of pathOf(fault.pointer)) {
      if (!Object.hasOwn(node, part)) Object.defineProperty(node, part, { value: {}, enumerable: true });
      node = node[part] as Record<string, unknown>;
    }
    const messages = (node.__errors as string[] | undefined) ?? [];
    node.__errors = [...messages, fault.message];
  }
  return root as ErrorSchema;
}

/** Answers which branch of a schema suits a value. Faults are those of the service, never of this. */
const VALIDATOR: ValidatorType = {
  validateFormData: () => ({ errors: [], errorSchema: {} }),
  rawValidation: () => ({}),
  isValid(schema, formData, root) {
    try {
      const { $defs, definitions } = root as Record<string, unknown>;
      const whole = {
        ...($defs ? { $defs } : {}),
        ...(definitions ? { definitions } : {}),
        ...(schema as object),
      };
      return new Validator(whole as Schema, "2020-12").validate(formData).valid;
    } catch {
      return false;
    }
  },
};
