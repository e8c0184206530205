package logging

// messageIDs gives the values of the attribute "event" their MESSAGE_ID (systemd.journal-fields(7)). They are a contract
// with whoever searches or alerts by them: an ID is never changed and never used again.
var messageIDs = map[string]string{
	"started":              "48ffb6dcaead4f5d93c66222f33d7b52", // the process runs and has read its configuration
	"ready":                "1907acf580c4413f9488ac9db1c3e81c", // everything accepts and is built
	"stopping":             "f8d587e354f8429aaacd090360008cbd", // a stop was asked for
	"stopped":              "57d8e2b8c0074b449a876a475a8dc49b", // the queue is closed in good order
	"reloaded":             "0cf730c26e314fa7a5462f08a6fa0699", // a new configuration is in force
	"reload_failed":        "f931396ca6e548e784a7fee3bed2230e", // a new configuration was refused, the old one runs on
	"restart_needed":       "dc20a59206004e849711ba202dc79901", // a new configuration holds what only a restart changes
	"output_failing":       "5d6786437794471e983c208b50a4fbfc", // an output's deliveries fail and are tried again
	"output_recovered":     "b50c390e8e83430784c686ed6916174f", // they don't any more
	"output_blocked":       "cbe95f5cc45d4f3e9b485e6810841c31", // an output waits for an operator
	"record_refused":       "0eb6ac8e02384478b3f6811b8fba2746", // a destination refused a record for good: quarantined
	"record_dropped":       "2a17dc32ff06468aa4c3a07243031a95", // when_full = "drop_oldest" dropped something
	"output_removed":       "acb40cfb33ce40af9432260731474170", // an output is no longer configured: what it had left is given up
	"record_lost":          "8a0140020f1b4e5abf262e14fbb16d5c", // the queue has lost something that an output had not been sent
	"quarantined":          "7d9be6772c4c405e8f8720bef121b451", // a verified request went to the quarantine on receipt
	"quarantine_resent":    "57a4c056a6f44980863a44045d9dfdaa", // an operator put a quarantined event back
	"quarantine_dropped":   "c5a6c2c257c044b9bdad2adf7ebc23b4", // an operator deleted a quarantined event
	"queue_filling":        "6dd3fe9d5b1f4ee89cad925368cc80c9", // half of the disk allowance, or more, waits for an output
	"queue_full":           "f625b939d67141aab355679c91b10ecb", // the disk allowance is used up: senders get 503
	"queue_unavailable":    "1642fb555c9b4937914385334da0a6d5", // the queue can't write or read: senders get 503
	"queue_recovered":      "f50a464bbed74958816738c35ccba52c", // it can again
	"queue_damaged":        "98f1e4bdb6eb406ea4c7f704efdc2d22", // something that was acknowledged is damaged or missing
	"queue_replayed":       "b5026d369e1145a3ae71b9b2e3f6eff2", // an operator has events sent to an output again
	"queue_not_replicated": "2216134822f343048b0e824175e02e79", // the shared queue's server has no synchronous standby: senders get 503
	"queue_rolled_back":    "82e903bdcc8c4cc487ab82b0a24289bb", // the shared queue's database has gone back in time
	"queue_forgotten":      "4791cad613e24e4480c32995932f7439", // an operator has forgotten an output or a bridge
	"output_claimed":       "74436ea707a94944a4ca494e8b016d66", // this bridge has taken an output over, or begins to own it
	"output_lost":          "12ace1da3d084c289eefd8a93fd77aea", // this bridge owns an output or a role no more
	"loss_acknowledged":    "2cf4648248944ecc8f8e2b853632fe48", // an operator took note of a loss
	"dedupe_evicted":       "bd33820d7152408f996a5825d0ab33bf", // the memory of seen deliveries is too small for its window
	"request_refused":      "f9e5c20befa74fb591dec05ad7744e81", // a request was refused
	"endpoint_overdue":     "6cdbc34e68f140648ec3543a2ab3ca0b", // nothing new and verified came for longer than expect_every
	"endpoint_heard":       "6ff110d4dd22494da5c3b9a844d874b9", // something did again
	"certificate_expiring": "1687d9051f7e491590f2d25c24a7338f", // a certificate nears its end
	"admin_refused":        "909811fdb3444e6eb0bf53a2b06c4aec", // somebody was refused by the admin listener
	"watchdog_stalled":     "e08143ff894744c090d5cec9d51e6ba4", // a part makes no progress: systemd will restart the service
}

// messageID returns the ID of an event, or "" for a name that has none.
func messageID(event string) string { return messageIDs[event] }
