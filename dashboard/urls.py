"""Addresses of the pages. Included at the root."""

from django.urls import path
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from dashboard.api import market as market_api
from dashboard.api import nodes as nodes_api
from dashboard.api import wallet as wallet_api
from dashboard.views import docs, home, jobs, market, models, new_job, nodes, outputs, publish, wallet

urlpatterns = [
    path("", home.home, name="home"),
    path("panels/<slug:name>/<slug:key>/", home.panel, name="panel"),
    path("language/", require_POST(set_language), name="set-language"),
    path("jobs/", jobs.jobs, name="jobs"),
    path("jobs/jobs.csv", jobs.jobs_csv, name="jobs-csv"),
    path("jobs/new/", new_job.new_job, name="new-job"),
    path("jobs/new/estimate/", new_job.estimate, name="job-estimate"),
    path("jobs/<int:job_id>/", jobs.job, name="job"),
    path("jobs/<int:job_id>/cancel/", jobs.cancel, name="cancel-job"),
    path("jobs/<int:job_id>/tasks/<int:index>/", jobs.task, name="job-task"),
    path("jobs/<int:job_id>/outputs.zip", outputs.archive, name="job-archive"),
    path("jobs/<int:job_id>/outputs/<int:output_id>/", outputs.output, name="job-output"),
    path("jobs/<int:job_id>/outputs/<int:output_id>/preview/", outputs.preview, name="job-preview"),
    path("jobs/<int:job_id>/outputs/<int:output_id>/image/", outputs.image, name="job-image"),
    path("jobs/<int:job_id>/receipts/<int:attempt_id>/", jobs.receipt, name="job-receipt"),
    path("jobs/<int:job_id>/receipts/<int:attempt_id>/verify/", jobs.verify, name="verify-receipt"),
    path("nodes/", nodes.nodes, name="nodes"),
    path("nodes/nodes.csv", nodes.nodes_csv, name="nodes-csv"),
    path("nodes/add/", nodes.add, name="add-node"),
    path("nodes/joining/<int:token_id>/", nodes.joining, name="joining"),
    path("nodes/<int:node_id>/", nodes.node, name="node"),
    path("nodes/<int:node_id>/evidence/", nodes.evidence, name="node-evidence"),
    path("nodes/<int:node_id>/shares/", nodes.shares, name="node-shares"),
    path("nodes/<int:node_id>/terms/", nodes.terms, name="node-terms"),
    path("nodes/<int:node_id>/drain/", nodes.drain, name="drain-node"),
    path("nodes/<int:node_id>/resume/", nodes.resume, name="resume-node"),
    path("nodes/<int:node_id>/retire/", nodes.retire, name="retire-node"),
    path("nodes/<int:node_id>/appeal/", nodes.appeal, name="appeal-quarantine"),
    path("nodes/<int:node_id>/quarantine/", nodes.quarantine, name="quarantine-node"),
    path("nodes/<int:node_id>/release/", nodes.release, name="release-node"),
    path("nodes/<int:node_id>/validator/", nodes.validator, name="name-validator"),
    path("models/", models.models, name="models"),
    path("models/publish/", publish.publish, name="publish-model"),
    path("models/publish/sign/", publish.sign, name="sign-model"),
    path("models/publish/to-sign/", publish.to_sign, name="model-to-sign"),
    path("models/keys/", publish.add_key, name="add-publisher-key"),
    path("models/keys/revoke/", publish.revoke_key, name="revoke-publisher-key"),
    path("models/<int:version_id>/", models.version, name="model-version"),
    path("models/<int:version_id>/try/", models.attempt, name="try-model"),
    path("models/<int:version_id>/try/price/", models.estimate, name="try-price"),
    path("models/<int:version_id>/summary/", models.describe, name="describe-model"),
    path("models/<int:version_id>/withdraw/", models.withdraw, name="withdraw-version"),
    path("market/", market.market, name="market"),
    path("market/simple/", market.simple, name="market-simple"),
    path("market/preview/", market.preview, name="order-preview"),
    path("market/<int:book_id>/orders/", market.place, name="place-order"),
    path("market/orders/<int:order_id>/cancel/", market.cancel, name="cancel-order"),
    path("docs/<slug:name>", docs.page, name="docs"),
    path("wallet/", wallet.wallet, name="wallet"),
    path("wallet/transfer/", wallet.transfer, name="transfer"),
    path("wallet/statement.csv", wallet.statement_csv, name="statement-csv"),
]

api_urlpatterns = [
    path("wallet", wallet_api.WalletView.as_view(), name="wallet"),
    path("wallet/statement", wallet_api.StatementView.as_view(), name="wallet-statement"),
    path("wallet/transfers", wallet_api.TransfersView.as_view(), name="wallet-transfers"),
    path(
        "cooperatives/<int:cooperative_id>/trial-balance", wallet_api.TrialBalanceView.as_view(), name="trial-balance"
    ),
    path("market/books", market_api.BooksView.as_view(), name="books"),
    path("market/books/<int:book_id>", market_api.BookView.as_view(), name="book"),
    path("market/books/<int:book_id>/depth", market_api.DepthView.as_view(), name="book-depth"),
    path("market/books/<int:book_id>/trades", market_api.TradesView.as_view(), name="book-trades"),
    path("market/books/<int:book_id>/preview", market_api.PreviewView.as_view(), name="order-preview"),
    path("market/orders", market_api.OrdersView.as_view(), name="orders"),
    path("market/orders/<int:order_id>", market_api.OrderView.as_view(), name="order"),
    path("market/orders/<int:order_id>/cancel", market_api.CancelOrderView.as_view(), name="order-cancel"),
    path("nodes/<int:node_id>/terms", nodes_api.TermsView.as_view(), name="node-terms"),
    path("nodes/<int:node_id>/shares", nodes_api.SharesView.as_view(), name="node-shares"),
    path("nodes/<int:node_id>/drain", nodes_api.DrainView.as_view(), name="node-owner-drain"),
    path("nodes/<int:node_id>/resume", nodes_api.ResumeView.as_view(), name="node-owner-resume"),
    path("nodes/<int:node_id>/retire", nodes_api.RetireView.as_view(), name="node-owner-retire"),
    path("nodes/<int:node_id>/appeal", nodes_api.AppealView.as_view(), name="node-appeal"),
    path("nodes/<int:node_id>/quarantine", nodes_api.QuarantineView.as_view(), name="node-quarantine"),
    path("nodes/<int:node_id>/release", nodes_api.ReleaseView.as_view(), name="node-release"),
    path("nodes/<int:node_id>/validator", nodes_api.ValidatorView.as_view(), name="node-validator"),
    path("market/leases", market_api.LeasesView.as_view(), name="leases"),
]
"""Below /api/v1/."""
