/** The fields of forms that differ from those of the library. */
import { getDefaultRegistry } from "@rjsf/core";
import type { IconButtonProps, TemplatesType, UnsupportedFieldProps, WidgetProps } from "@rjsf/utils";
import { type ComponentType, useState } from "react";

const { TextWidget, TextareaWidget } = getDefaultRegistry().widgets as Record<
  "TextWidget" | "TextareaWidget",
  ComponentType<WidgetProps>
>;

/**
 * A field for a text, shown as it is.
 *
 * Fields of the browser for dates, addresses and colours leave out what does not suit them, and those of one line leave
 * out line ends: typing a letter would change the rest.
 */
function TextField(props: WidgetProps) {
  const { value, required } = props;
  const [first] = useState(value as unknown);
  const [isLong, setIsLong] = useState(false);
  if (!isLong && typeof value === "string" && value.includes("\n")) setIsLong(true);
  const options = {
    ...props.options,
    // What is emptied is taken away, unless an empty text was there, or there must be one.
    emptyValue: first === "" || (required && first !== undefined) ? "" : undefined,
  };
  if (isNumber(props)) return <TextWidget {...props} />;
  if (typeof value === "object" && value !== null) {
    return <TextWidget {...props} options={TEXT} value={JSON.stringify(value)} readonly />;
  }
  if (isLong) {
    // A field of the browser has no carriage returns.
    const readonly = props.readonly || String(value).includes("\r");
    return <TextareaWidget {...props} options={{ ...options, rows: 5 }} readonly={readonly} />;
  }
  return <TextWidget {...props} options={{ ...options, ...TEXT }} />;
}

const TEXT = { inputType: "text" };

function isNumber({ schema, value }: WidgetProps): boolean {
  return (schema.type === "number" || schema.type === "integer") && typeof value !== "object";
}

export const WIDGETS = Object.fromEntries(
  [
    "TextWidget",
    "EmailWidget",
    "URLWidget",
    "DateWidget",
    "DateTimeWidget",
    "TimeWidget",
    "ColorWidget",
    "FileWidget",
    "PasswordWidget",
    "TextareaWidget",
  ].map((name) => [name, TextField]),
);

function iconButton(label: string) {
  return function IconButton({ icon, iconType, uiSchema, registry, ...rest }: IconButtonProps) {
    return (
      <button {...rest} type="button">
        {label}
      </button>
    );
  };
}

function InTextAlone({ fieldPathId }: UnsupportedFieldProps) {
  return <p className="faint">{fieldPathId.path.at(-1) ?? "The content"} can be edited in the text alone.</p>;
}

export const TEMPLATES: Partial<TemplatesType> = {
  UnsupportedFieldTemplate: InTextAlone,
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
