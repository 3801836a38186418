/** A form that is made from a schema. It changes nothing that nobody changes in it. */
import { type Schema, Validator } from "@cfworker/json-schema";
import Form from "@rjsf/core";
import type {
  ErrorSchema,
  IconButtonProps,
  RJSFSchema,
  TemplatesType,
  UiSchema,
  ValidatorType,
} from "@rjsf/utils";
import { useEffect, useMemo, useRef } from "react";
import { type JsonObject, pathOf } from "./content";
import type { SchemaDocument } from "./formable";
import { withChange } from "./formChanges";
import type { Fault } from "./useFaults";

type Props = {
  document: SchemaDocument;
  content: JsonObject;
  faults: readonly Fault[];
  onChange: (content: JsonObject) => void;
};

export default function SchemaForm({ document, content, faults, onChange }: Props) {
  const form = useRef<Form>(null);
  // The form as it was before a change.
  const before = useRef<JsonObject>(undefined);
  useEffect(() => {
    before.current = form.current?.state.formData as JsonObject;
  });
  const errors = useMemo(() => errorSchema(faults), [faults]);
  return (
    <div className="schema-form">
      <Form
        ref={form}
        schema={document as RJSFSchema}
        uiSchema={UI}
        formData={content}
        validator={VALIDATOR}
        templates={TEMPLATES}
        extraErrors={errors}
        experimental_defaultFormStateBehavior={NO_DEFAULTS}
        noHtml5Validate
        noValidate
        showErrorList={false}
        tagName="div"
        idPrefix="form"
        onChange={({ formData }) => {
          if (!before.current) return;
          onChange(withChange(content, before.current, formData as JsonObject) as JsonObject);
          before.current = formData as JsonObject;
        }}
      />
    </div>
  );
}

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

function iconButton(label: string) {
  return function IconButton({ icon, iconType, uiSchema, registry, ...rest }: IconButtonProps) {
    return (
      <button {...rest} type="button">
        {label}
      </button>
    );
  };
}

const TEMPLATES: Partial<TemplatesType> = {
  ButtonTemplates: {
    AddButton: iconButton("Add"),
    CopyButton: iconButton("Copy"),
    ClearButton: iconButton("Clear"),
    MoveDownButton: iconButton("Move down"),
    MoveUpButton: iconButton("Move up"),
    RemoveButton: iconButton("Remove"),
    SubmitButton: () => null,
  } as unknown as TemplatesType["ButtonTemplates"],
};
