// Package fail2ban tests the filter and the jail beside it with fail2ban itself, on lines that a real bridge logged.
package fail2ban
