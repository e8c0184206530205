package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
)

func newReloadCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the running bridge read its configuration again",
		Long: "Asks the running bridge to read its configuration again, and waits until that is in force. When anything of it is wrong\n" +
			"the old configuration stays in force, in full, and this says why. systemctl reload linuxguard-bridge does the same.\n\n" +
			"Exit code 0: it is in force; 1: it is not.",
		Example: "  linuxguard-bridge reload",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c, g)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := flags.client().Reload(cmd.Context())
		var refused *admin.RefusedError
		if err != nil && !errors.As(err, &refused) && flags.socket == "" { // admin.socket may be what has changed: it needs a restart
			first := err
			flags.socket = config.DefaultControlSocket(g.Getenv)
			if answer, err = flags.client().Reload(cmd.Context()); err != nil && !errors.As(err, &refused) {
				err = first
			}
		}
		if err != nil {
			return explained(err)
		}
		if flags.asJSON {
			return printJSON(g.Stdout, answer)
		}
		if _, err = fmt.Fprintln(g.Stdout, "the configuration is in force"); err == nil && len(answer.RestartNeeded) > 0 {
			_, err = fmt.Fprintf(g.Stdout, "these changes need a restart: %s\n", strings.Join(answer.RestartNeeded, ", "))
		}
		return err
	}
	return c
}
