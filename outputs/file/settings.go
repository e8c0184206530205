package file

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// The formats of a line.
const (
	formatJSON    = "json"    // one flat JSON object
	formatRFC5424 = "rfc5424" // one syslog message
	formatHEC     = "hec"     // one HEC event
	formatOCSF    = "ocsf"    // one OCSF Detection Finding
)

// stdout is the path that stands for standard output.
const stdout = string(setting.Stdout)

// settings is the output's table.
type settings struct {
	Path   setting.WriteFile `toml:"path"`   // absolute, or "-"; required
	Format string            `toml:"format"` // json (default), rfc5424, hec or ocsf
	Mode   string            `toml:"mode"`   // of a file that is created, octal; default 0640

	// For rfc5424.
	Facility     string `toml:"facility"`
	AppName      string `toml:"app_name"`
	EnterpriseID string `toml:"enterprise_id"`

	// For hec.
	Source     string `toml:"source"`
	Sourcetype string `toml:"sourcetype"`
	Index      string `toml:"index"`

	mode fs.FileMode
}

// encoder appends one record without a line feed.
type encoder func(dst []byte, rec *outputs.Record) []byte

// check completes s and returns its encoder; the errors are joined.
func (s *settings) check(version string) (encoder, error) {
	encode, err := s.encoder(version)
	mode, modeErr := strconv.ParseUint(s.Mode, 8, 32)
	if modeErr != nil || mode&^0o666 != 0 {
		err = errors.Join(err, keyError("mode", fmt.Errorf("%q is not an octal file mode of read and write bits, like 0640", s.Mode)))
	}
	s.mode = fs.FileMode(mode)
	return encode, errors.Join(err, keyError("path", checkPath(string(s.Path))))
}

func (s *settings) encoder(version string) (encoder, error) {
	switch s.Format {
	case formatJSON:
		return mapping.NewJSON().Append, nil
	case formatOCSF:
		return mapping.NewOCSF().Append, nil
	case formatHEC:
		hec, err := mapping.NewHEC(mapping.HECOptions{Source: s.Source, Sourcetype: s.Sourcetype, Index: s.Index, IndexedFields: true})
		if err != nil {
			return nil, err
		}
		return hec.Append, nil
	case formatRFC5424:
		syslog, err := mapping.NewSyslog(mapping.SyslogOptions{
			Facility: s.Facility, AppName: s.AppName, EnterpriseID: s.EnterpriseID, Version: version,
			MaxMessageBytes: math.MaxInt32, // a file takes lines of any length: nothing is cut
		})
		if err != nil {
			return nil, err
		}
		return func(dst []byte, rec *outputs.Record) []byte {
			dst, _ = syslog.Append(dst, rec)
			return dst
		}, nil
	}
	return nil, keyError("format", fmt.Errorf("unknown format %q: use json, rfc5424, hec or ocsf", s.Format))
}

// Complete fills in what mapping takes for an empty key, for those who look at the settings.
func (s *settings) Complete() {
	for _, d := range []struct {
		value *string
		is    string
	}{
		{&s.Facility, "user"}, {&s.AppName, mapping.DefaultAppName}, {&s.EnterpriseID, mapping.DefaultEnterpriseID},
		{&s.Source, mapping.DefaultSource}, {&s.Sourcetype, mapping.DefaultSourcetype},
	} {
		*d.value = cmp.Or(*d.value, d.is)
	}
}

func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New(`required: an absolute path, or "-" for standard output`)
	case path == stdout:
		return nil
	case !filepath.IsAbs(path):
		return fmt.Errorf("%q is not absolute", path)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file (%s)", path, info.Mode().Type())
	}
	return nil
}

func keyError(key string, err error) error {
	if err == nil {
		return nil
	}
	return &outputs.KeyError{Key: key, Err: err}
}
