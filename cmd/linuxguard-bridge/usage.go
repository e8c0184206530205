package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError marks an error as the caller's: exit code 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// ownWords makes everything that is wrong with a command line an error in our words, with exit code 2: of c and of the commands below it.
func ownWords(c *cobra.Command) {
	c.SetFlagErrorFunc(flagError)
	if c.HasSubCommands() {
		c.Args = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return nil
		}
	} else if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if check(c, args) == nil {
				return nil
			}
			return &usageError{fmt.Errorf("these arguments don't fit: it is %s", c.UseLine())}
		}
	}
	for _, sub := range c.Commands() {
		ownWords(sub)
	}
}

// needsSubcommand is a command that does nothing by itself.
func needsSubcommand(c *cobra.Command, _ []string) error {
	c.SetOut(c.ErrOrStderr())
	_ = c.Help()
	return &usageError{errors.New("name a command")}
}

// unknownCommand says which command was probably meant.
func unknownCommand(c *cobra.Command, name string) error {
	c.SuggestionsMinimumDistance = 2
	hint := "see " + c.CommandPath() + " --help"
	if near := c.SuggestionsFor(name); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	if !c.HasParent() {
		return &usageError{fmt.Errorf("there is no command %q: %s", name, hint)}
	}
	return &usageError{fmt.Errorf("%s has no command %q: %s", pathBelowRoot(c), name, hint)}
}

// flagError says what is wrong with a flag.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var lacking *pflag.ValueRequiredError
	var wrong *pflag.InvalidValueError
	help := "see " + c.CommandPath() + " --help"
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case errors.As(err, &unknown):
		err = fmt.Errorf("%s has no flag %s: %s", pathBelowRoot(c), flagName(unknown.GetSpecifiedName()), help)
	case errors.As(err, &lacking):
		err = fmt.Errorf("the flag %s needs a value: %s", flagName(lacking.GetSpecifiedName()), help)
	case errors.As(err, &wrong):
		err = fmt.Errorf("the value %q of the flag --%s is no %s: %s", wrong.GetValue(), wrong.GetFlag().Name, valueKind(wrong.GetFlag()), help)
	default:
		err = fmt.Errorf("%w: %s", err, help)
	}
	return &usageError{err}
}

// pathBelowRoot is what a person types behind the program's name.
func pathBelowRoot(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}

func flagName(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// valueKind names what a flag takes.
func valueKind(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "duration":
		return `duration such as "30s" or "5m"`
	case "int", "uint", "int64", "uint64":
		return "whole number"
	case "float64":
		return "number"
	case "bool":
		return "true or false"
	}
	return "value that it takes"
}

// newHelpCommand is cobra's, with an exit code and a suggestion for a command that there isn't.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Say how a command is used",
		Long:  "Says how a command is used; COMMAND --help does the same.",
		RunE: func(c *cobra.Command, args []string) error {
			asked, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 && asked.HasSubCommands() {
				return unknownCommand(asked, args[len(args)-1])
			}
			asked.InitDefaultHelpFlag()
			return asked.Help()
		},
	}
}
