"""What each known type of event is to Adobe: one row for each.

``own`` stands where Adobe has no word for a type: its event type is then made
of its own name. Three rows deserve a reason. ``bounced`` counts as permanent,
because Customer.io does not say which it is and Adobe's ``bounces`` are the
temporary ones. ``opened`` in an app is an impression by Customer.io's own words.
``attempted`` and ``deferred`` will be tried again, so they are a delay and no
failure.

What tells of a person and not of a message has no row, but rules in
`streamer.core.xdm.builtin`: its object type says nothing of what it is.
"""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, frozen=True):
    """What one type of event is to Adobe."""

    object_type: str
    metric: str
    event_type: str
    """``own``: Adobe has no word for it, so it is ``customerio.{object_type}.{metric}``."""
    counter: str
    """Below ``directMarketing``."""
    media_action: str
    journey: str
    """For Journey Optimizer: ``fs=`` and a feedback status, or ``it=`` and an interaction."""

    @property
    def types(self) -> tuple[str, ...]:
        """The pattern that finds it."""
        return (f"{self.object_type}.{self.metric}",)


_TABLE = """
email    drafted       own                               -                -                -
email    attempted     message.feedback                  -                -                fs=delay
email    deferred      message.feedback                  -                -                fs=delay
email    sent          directMarketing.emailSent         sends            sends            fs=sent
email    delivered     directMarketing.emailDelivered    emailDelivered   -                fs=delivered
email    opened        directMarketing.emailOpened       opens            opens            it=open
email    clicked       directMarketing.emailClicked      clicks           clicks           it=click
email    converted     own                               -                -                -
email    unsubscribed  directMarketing.emailUnsubscribed unsubscriptions  unSubscriptions  it=unsubscribe
email    bounced       directMarketing.emailBounced      nonDeliverables  nonDeliverables  fs=bounce
email    dropped       message.feedback                  excludes         -                fs=denylist
email    spammed       message.tracking                  userComplaints   userComplaints   it=spam_complaint
email    failed        message.feedback                  notSent          notSent          fs=error
email    undeliverable message.feedback                  notSent          notSent          fs=exclude

push     drafted       own                               -                -                -
push     attempted     message.feedback                  -                -                fs=delay
push     sent          message.feedback                  sends            sends            fs=sent
push     delivered     message.feedback                  -                -                fs=delivered
push     opened        pushTracking.applicationOpened    opens            opens            it=open
push     clicked       pushTracking.customAction         clicks           clicks           it=click
push     converted     own                               -                -                -
push     bounced       message.feedback                  nonDeliverables  nonDeliverables  fs=bounce
push     dropped       message.feedback                  excludes         -                fs=denylist
push     failed        message.feedback                  notSent          notSent          fs=error
push     undeliverable message.feedback                  notSent          notSent          fs=exclude

sms      drafted       own                               -                -                -
sms      attempted     message.feedback                  -                -                fs=delay
sms      sent          message.feedback                  sends            sends            fs=sent
sms      delivered     message.feedback                  -                -                fs=delivered
sms      clicked       message.tracking                  clicks           clicks           it=click
sms      replied       message.tracking                  -                -                it=reply
sms      converted     own                               -                -                -
sms      bounced       message.feedback                  nonDeliverables  nonDeliverables  fs=bounce
sms      dropped       message.feedback                  excludes         -                fs=denylist
sms      failed        message.feedback                  notSent          notSent          fs=error
sms      undeliverable message.feedback                  notSent          notSent          fs=exclude

whatsapp drafted       own                               -                -                -
whatsapp attempted     message.feedback                  -                -                fs=delay
whatsapp sent          message.feedback                  sends            sends            fs=sent
whatsapp delivered     message.feedback                  -                -                fs=delivered
whatsapp opened        message.feedback                  opens            opens            fs=read
whatsapp clicked       message.tracking                  clicks           clicks           it=click
whatsapp replied       message.tracking                  -                -                it=reply
whatsapp converted     own                               -                -                -
whatsapp bounced       message.feedback                  nonDeliverables  nonDeliverables  fs=bounce
whatsapp dropped       message.feedback                  excludes         -                fs=denylist
whatsapp failed        message.feedback                  notSent          notSent          fs=error
whatsapp undeliverable message.feedback                  notSent          notSent          fs=exclude

in_app   drafted       own                               -                -                -
in_app   attempted     message.feedback                  -                -                fs=delay
in_app   sent          message.feedback                  sends            sends            fs=sent
in_app   opened        inappmessageTracking.display      impressions      impressions      it=open
in_app   clicked       inappmessageTracking.interact     clicks           clicks           it=click
in_app   converted     own                               -                -                -
in_app   failed        message.feedback                  notSent          notSent          fs=error
in_app   undeliverable message.feedback                  notSent          notSent          fs=exclude

slack    drafted       own                               -                -                -
slack    attempted     message.feedback                  -                -                fs=delay
slack    sent          message.feedback                  sends            sends            fs=sent
slack    clicked       message.tracking                  clicks           clicks           it=click
slack    converted     own                               -                -                -
slack    failed        message.feedback                  notSent          notSent          fs=error
slack    undeliverable message.feedback                  notSent          notSent          fs=exclude

webhook  drafted       own                               -                -                -
webhook  attempted     message.feedback                  -                -                fs=delay
webhook  sent          message.feedback                  sends            sends            fs=sent
webhook  clicked       message.tracking                  clicks           clicks           it=click
webhook  converted     own                               -                -                -
webhook  failed        message.feedback                  notSent          notSent          fs=error
webhook  undeliverable message.feedback                  notSent          notSent          fs=exclude
"""  # noqa: E501 - a table is read by its columns

ROWS = tuple(Row(*line.split()) for line in _TABLE.splitlines() if line)
